"""Words that tell a person's name, in Portuguese, English and Spanish; all folded."""

from __future__ import annotations

GIVEN_NAMES = frozenset(
    """
    adriana adriano alberto alejandra alejandro alessandra alex alexandra alexandre alice aline
    amanda ana anderson andre andrea andreia andres angela angelica anna anthony antonella antonia
    antonio ariana arthur artur augusto barbara beatriz benjamin bernardo bianca brandon brenda
    breno bruna bruno caio camila carla carlos carmen carol carolina caroline catarina cecilia
    celia celso cesar charles charlotte christian christina cintia clara claudia claudio cleiton
    cristiane cristiano cristina daiane daniel daniela daniele danilo dario davi david debora
    denise diana diego diogo douglas edson eduarda eduardo elaine elena eliana eliane elias
    elisa elizabeth eloisa emanuel emerson emily emma enrique enzo erica erick erika ernesto
    estefania ester ethan eva evandro ezequiel fabiana fabiano fabio fabricio facundo felipe
    fernanda fernando flavia flavio francisca francisco franco gabriel gabriela gabriele george
    geovana gilberto gisele giovana giovanna giovanni glaucia gloria gonzalo guilherme gustavo
    hannah heitor helena helio henrique hugo iara igor ines ingrid isaac isabel isabela isabella
    isadora ivan ivone jacqueline jade jaime jair james janaina jane jaqueline javier jean jennifer
    jeferson jefferson jessica jessie joao joaquim joaquin joana john jonas jonathan jordan jorge
    jose joseph josue joyce juan juana julia juliana juliano julieta julio junior karen karina karla
    katia kelly kevin laura leandro leonardo leticia lilian liliana livia lorena lorenzo lourdes
    luan luana lucas lucia luciana luciano luis luisa luiz luiza magali maicon manuel manuela
    mara marcela marcelo marcia marcio marco marcos margarida margarita maria mariana mariano
    marilia marina mario marisa marlene marta martin martina mateo matheus mateus mathias matias
    matthew mauricio mauro maximiliano mayara melissa michael michele michelle miguel milena
    miriam moises monica murilo nancy natalia natasha nathalia nelson nicolas nicole nicolle nina
    oliver olivia orlando oscar otavio pablo paloma pamela patricia patrick paula paulo pedro
    pietra priscila rafael rafaela raimundo ramiro ramon raquel raul rebeca regiane regina renan
    renata renato ricardo rita roberta roberto robson rodolfo rodrigo rogerio romulo ronaldo rosa
    rosana rosangela rosario roseli rosemary ruben ryan sabrina samanta samantha samara samuel
    sandra santiago sara sarah sebastian sebastiao sergio sheila silvana silvia silvio simone
    sofia solange sonia sophia stephanie suelen suellen susana tainara talita tania tatiana
    tatiane teresa thais thales thiago thomas tiago tomas valdir valentina valeria valter vanessa
    vera veronica vicente victor victoria vinicius vitor viviane wagner walter wanderson wellington
    wesley william wilson xavier ximena yago yara yasmin yuri zuleica
    silva souza oliveira pereira ferreira rodrigues almeida nascimento araujo ribeiro gomes martins
    barbosa cardoso teixeira moreira correia fernandes goncalves gonzalez rodriguez martinez
    hernandez lopez garcia perez sanchez ramirez johnson williams smith
    """.split()  # noqa: SIM905 - a list of names reads better than 400 quotes
)
"""Frequent given names and a few family names (IBGE and the US and Spanish census lists).

Left out: names that are everyday words of a support chat (Vitória, Mark, Will, Grace, Lima, Sol).
They are still found after an introduction, and when they are the contact's own.
"""

FUNCTION_WORDS = frozenset(
    """
    a as o os um uma uns umas de da do das dos e em no na nos nas com sem por pra para pro que se
    eu tu voce vc vcs ele ela nos meu minha seu sua esse essa este esta isso isto aqui ai la
    nao sim ja so muito mais mas ou como quando onde quem qual foi era ser estar estou sou
    the an of in on at to for and or but is are was be am i you he she it we they my your his her
    this that not no yes here there with from by what when where who how
    el los las un unos unas del al y en con sin que se yo usted mi su este ese esto eso aca alli
    no si ya muy mas pero donde quien cual fue soy estoy es son hay le les lo
    """.split()  # noqa: SIM905 - a list reads better
)
"""Never taken for a name, whoever is called so."""

PARTICLES = frozenset({"de", "da", "do", "das", "dos", "e", "del", "la", "van", "von", "di"})
"""Stand inside names: "Maria das Dores", "de la Cruz"."""

STRONG_INTRODUCTIONS = (
    ("meu", "nome", "e"),
    ("meu", "nome", "eh"),
    ("meu", "nome", "completo", "e"),
    ("nome", "completo"),
    ("nome", "do", "titular"),
    ("me", "chamo"),
    ("chamo", "me"),
    ("my", "name", "is"),
    ("my", "name", "s"),
    ("my", "full", "name", "is"),
    ("full", "name"),
    ("me", "llamo"),
    ("mi", "nombre", "es"),
    ("nombre", "completo"),
)
"""A name follows, whatever it looks like."""

WEAK_INTRODUCTIONS = (
    ("aqui", "e"),
    ("aqui", "e", "o"),
    ("aqui", "e", "a"),
    ("aqui", "quem", "fala", "e"),
    ("quem", "fala", "e"),
    ("quem", "fala", "e", "o"),
    ("quem", "fala", "e", "a"),
    ("sou", "o"),
    ("sou", "a"),
    ("eu", "sou"),
    ("falo", "com"),
    ("falei", "com"),
    ("falei", "com", "o"),
    ("falei", "com", "a"),
    ("em", "nome", "de"),
    ("no", "nome", "de"),
    ("this", "is"),
    ("i", "am"),
    ("i", "m"),
    ("im",),
    ("on", "behalf", "of"),
    ("spoke", "to"),
    ("spoke", "with"),
    ("soy",),
    ("soy", "el"),
    ("soy", "la"),
    ("habla",),
    ("le", "habla"),
    ("hable", "con"),
    ("a", "nombre", "de"),
    # greetings: "oi Jucilene", "good morning Priya"
    ("oi",),
    ("ola",),
    ("bom", "dia"),
    ("boa", "tarde"),
    ("boa", "noite"),
    ("hi",),
    ("hello",),
    ("hey",),
    ("dear",),
    ("good", "morning"),
    ("good", "afternoon"),
    ("hola",),
    ("buenos", "dias"),
    ("buenas", "tardes"),
    # forms of address
    ("sr",),
    ("sra",),
    ("senhor",),
    ("senhora",),
    ("dona",),
    ("dr",),
    ("dra",),
    ("mr",),
    ("mrs",),
    ("ms",),
    ("senor",),
    ("don",),
)
"""A name may follow: it is one when it is capitalised, a frequent name, or a word that no training
example has."""

CLOSINGS = frozenset(
    """att atenciosamente abs abraco abracos grato grata obrigado obrigada cordialmente ass
    thanks regards cheers sincerely saludos gracias atentamente atte""".split()  # noqa: SIM905
)
"""What stands before the signature at the end of a message."""

NUMBER_WORDS = tuple(
    """zero um uma dois duas tres quatro cinco seis meia sete oito nove dez
    one two three four five six seven eight nine oh
    cero uno dos cuatro siete ocho nueve""".split()  # noqa: SIM905 - a list of words reads better
)
"""Digits in words: eight or more in a row are a telephone or a document, spelled."""

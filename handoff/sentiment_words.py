"""The words of `handoff.sentiment`, per language, with their weights.

Folded: no accents, no capitals, no apostrophes. Weights: 1 plain, 2 strong, 0 a greeting. A word
that is a topic rather than a feeling ("problema", "erro", "cancelar") is not here: who reports a
fault is not angry yet. Words with two meanings are left out too.
"""

from __future__ import annotations

from collections.abc import Mapping

from handoff.text import words


def _weighted(weights: Mapping[float, str]) -> dict[str, float]:
    """Phrases in a comma separated list, each with the weight it is listed under."""
    return {
        " ".join(phrase.split()): weight
        for weight, listed in weights.items()
        for phrase in listed.split(",")
        if phrase.strip()
    }


LEXICONS: Mapping[str, Mapping[str, float]] = {
    "pt": _weighted(
        {
            -2: """
                absurdo, um absurdo, pessimo, pessima, pessimos, pessimas, horrivel, horriveis,
                odeio, odiei, lixo, um lixo, vergonha, uma vergonha, vergonhoso, palhacada, descaso,
                falta de respeito, desrespeito, inadmissivel, inaceitavel, revoltado, revoltada,
                revoltante, indignado, indignada, ridiculo, ridicula, nojo, merda, porra, caralho,
                puta que pariu, vtnc, vsf, pqp, incompetentes, incompetente, incompetencia,
                furioso, furiosa, puto, puta, de saco cheio, saco cheio, bando de, vou reclamar,
                nunca mais compro, enganado, enganada, enganacao
            """,
            -1: """
                ruim, ruins, pior, decepcionado, decepcionada, decepcao, decepcionante, chateado,
                chateada, irritado, irritada, irritante, cansei, cansado, cansada, demora, demorado,
                insatisfeito, insatisfeita, insatisfacao, frustrado, frustrada, aborrecido,
                aborrecida, detestei, detesto, estressado, estressada, ninguem resolve,
                nao resolve, nao resolveu, nao resolvem, ninguem responde, nao aguento, ate quando,
                triste, fraco, fraca, nada funciona, enrolando, enrolacao, enrolam, droga, inferno
            """,
            0: "bom dia, boa tarde, boa noite",
            1: """
                bom, boa, bons, boas, gostei, gosto, feliz, satisfeito, satisfeita, legal, obrigado,
                obrigada, obg, vlw, valeu, agradeco, ajudou, atenciosa, atencioso, rapido, rapida,
                resolveu, facil, eficiente, bacana, grato, grata
            """,
            2: """
                otimo, otima, otimos, otimas, excelente, excelentes, maravilhoso, maravilhosa,
                perfeito, perfeita, amei, adorei, adoro, incrivel, sensacional, nota 10, nota dez,
                parabens, fantastico, fantastica, show de bola, top demais, muito obrigado,
                muito obrigada
            """,
        },
    ),
    "en": _weighted(
        {
            -2: """
                awful, terrible, horrible, worst, hate, disgusting, unacceptable, ridiculous,
                outrageous, pathetic, joke of a, garbage, trash, shit, bullshit, fuck, fucking,
                wtf, damn, furious, useless, incompetent, disgrace, disgraceful, shame on you,
                fed up, sick of, sick and tired, ripped off, rip off, never again
            """,
            -1: """
                bad, worse, poor, disappointed, disappointing, disappointment, angry, annoyed,
                annoying, upset, unhappy, frustrated, frustrating, tired of, dissatisfied, slow,
                nobody answers, nobody helps, no one answers, no one helps, does not help, sucks,
                mad, unprofessional, rude, waste of time, still waiting
            """,
            0: "good morning, good afternoon, good evening, good night",
            1: """
                good, nice, happy, satisfied, thanks, thank you, thx, helpful, helped, liked, easy,
                quick, fast, pleased, cool, appreciate, friendly
            """,
            2: """
                great, excellent, amazing, awesome, wonderful, perfect, love, loved, fantastic,
                brilliant, outstanding, superb, congratulations, thank you so much, thanks a lot
            """,
        },
    ),
    "es": _weighted(
        {
            -2: """
                pesimo, pesima, pesimos, pesimas, horrible, horribles, odio, odie, basura,
                una basura, verguenza, una verguenza, vergonzoso, inaceptable, inadmisible,
                indignado, indignada, indignante, ridiculo, ridicula, asco, mierda, carajo, joder,
                puta, furioso, furiosa, falta de respeto, una burla, incompetentes, incompetente,
                harto, harta, estafado, estafada, nunca mas compro, un desastre, desastre
            """,
            -1: """
                malo, mala, malos, malas, peor, decepcionado, decepcionada, decepcion,
                decepcionante, enojado, enojada, molesto, molesta, enfadado, enfadada, cansado,
                cansada, triste, frustrado, frustrada, insatisfecho, insatisfecha, nadie responde,
                nadie ayuda, nadie resuelve, no resuelven, no aguanto, hasta cuando, demora, lento,
                lenta, maldito, maldita
            """,
            0: "buen dia, buenos dias, buenas tardes, buenas noches",
            1: """
                bueno, buena, buenos, buenas, bien, gusta, gusto, feliz, satisfecho, satisfecha,
                gracias, agradezco, ayudo, amable, rapido, rapida, facil, eficiente, contento,
                contenta
            """,
            2: """
                excelente, excelentes, maravilloso, maravillosa, perfecto, perfecta, me encanto,
                me encanta, encanta, increible, genial, fantastico, fantastica, buenisimo,
                buenisima, felicitaciones, felicidades, muchas gracias
            """,
        },
    ),
}

NEGATIONS: Mapping[str, frozenset[str]] = {
    "pt": frozenset(words("nao naum n nem nunca jamais nenhum nenhuma")),
    "en": frozenset(
        words(
            "not no never nor dont didnt doesnt isnt wasnt arent werent cant cannot couldnt wont "
            "wouldnt aint hardly without"
        )
    ),
    "es": frozenset(words("no ni nunca jamas tampoco sin ningun ninguna")),
}

INTENSIFIERS: Mapping[str, frozenset[str]] = {
    "pt": frozenset(
        words(
            "muito muita muitos muitas mt mto mta mtu super tao demais bem bastante extremamente "
            "totalmente completamente absolutamente hiper que"
        )
    ),
    "en": frozenset(
        words("very so really extremely totally absolutely completely too super such incredibly")
    ),
    "es": frozenset(
        words(
            "muy tan super re bastante demasiado sumamente totalmente completamente realmente que"
        )
    ),
}

EMOJI: Mapping[str, float] = {
    **dict.fromkeys("😡🤬👿😤🖕🤮", -2.0),
    **dict.fromkeys("😠👎💔😞😒🙄😩😫😭😢", -1.0),
    **dict.fromkeys("😀😃😄😁😊🙂👍👏🙏💚💙", 1.0),
    **dict.fromkeys("😍🥰❤🤩💯", 2.0),
}

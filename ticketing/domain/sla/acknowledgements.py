"""Closing words: "obrigado, tchau", "thanks, bye", a thumbs-up. They want no answer.

A message is one only if nothing is left when such words are taken away, so a thank-you with a
question ("obrigado, e o prazo?") still wants an answer. In doubt a message wants one: a person who
reads a "valeu" too many loses seconds, a customer who is not answered is lost.
"""

from __future__ import annotations

import re

from handoff.text import fold, words

_THANKS = """
    muito obrigado; muito obrigada; muitissimo obrigado; muitissimo obrigada; mt obrigado;
    mt obrigada; mto obrigado; mto obrigada; obrigado; obrigada; obrigadao; obrigadinho;
    obrigadissimo; obg; obgd; obgda; brigado; brigada; brigadao; brigadinha; grato; grata; agradeco;
    agradecido; agradecida; agradeco muito; agradeco a atencao; agradeco a ajuda; gratidao;
    pela ajuda; pela atencao; pela paciencia; pela rapidez; pela informacao; pelas informacoes;
    pelo retorno; pelo atendimento; pelo apoio; pelo suporte; por tudo; por me ajudar; por ajudar;
    de novo; novamente; mais uma vez; valeu; valeu mesmo; vlw; vlww; valeu demais; tmj; tamo junto;
    parabens pelo atendimento; otimo atendimento; excelente atendimento; adorei o atendimento;
    thank you; thank you so much; thank you very much; thanks; thanks a lot; thanks so much;
    many thanks; thx; tnx; ty; tysm; thank u; tks; for the help; for your help; for all your help;
    for everything; for helping; for helping me; for the info; for the information; for your time;
    for the quick reply; again; much appreciated; appreciate it; i appreciate it; appreciated;
    cheers; great service; great support; no thanks; no thank you; no gracias; nao obrigado;
    nao obrigada; nao valeu; nao brigado; nao brigada; nao obg;
    muchas gracias; muchisimas gracias; mil gracias; gracias; grax; grcs; por todo; por la ayuda;
    por su ayuda; por tu ayuda; por la atencion; por su atencion; por ayudarme; por la informacion;
    por la respuesta; de nuevo; otra vez; se agradece; agradezco; agradezco mucho;
    excelente servicio
"""
_FAREWELLS = """
    tchau; tchauzinho; tchau tchau; xau; ate logo; ate mais; ate breve; ate amanha; adeus; flw;
    falou; fui; abraco; abracos; abs; bjs; beijo; beijos; bj; um abraco; fica com deus;
    fique com deus; deus abencoe; deus te abencoe; vai com deus; amem; bom fim de semana;
    otimo fim de semana; bom feriado; bom trabalho; boa semana; otimo dia; otima tarde; otima noite;
    otima semana; um bom dia; uma boa tarde; uma boa noite; tenha um bom dia; tenha uma boa tarde;
    tenha uma boa noite; tenha um otimo dia; pra voce tambem; para voce tambem; pra vc tambem;
    pra ti tambem; igualmente; voce tambem; vc tambem; por nada; de nada; imagina; disponha;
    nao ha de que; era so isso; era isso; e so isso; so isso; so isso mesmo; e isso; nada mais;
    mais nada; por enquanto e so; por enquanto e so isso; por hoje e so;
    nao preciso de mais nada; deu certo; deu certo aqui; resolvido; ja resolvi; ja resolveu;
    resolveu; tudo resolvido; funcionou; ja funcionou; consegui; ja consegui;
    bye; bye bye; goodbye; good bye; see you; see ya; see you later; later; take care;
    have a nice day; have a good day; have a great day; have a good one; have a nice evening;
    have a nice weekend; you too; same to you; all set; it works; it works now; it worked;
    that worked; fixed; solved; problem solved; that is all; thats all; that s all; that is it;
    that will be all; nothing else; no more questions; never mind; you are welcome; youre welcome;
    you re welcome;
    adios; chao; chau; hasta luego; hasta pronto; hasta manana; nos vemos; saludos; un saludo;
    un abrazo; abrazo; besos; buen fin de semana; que tenga buen dia; que tengas buen dia;
    que tenga un buen dia; que tengas un buen dia; usted tambien; tu tambien; solucionado;
    ya funciona; funciono; ya pude; eso es todo; es todo; nada mas; eso era todo; solo eso;
    que le vaya bien; que te vaya bien; bendiciones
"""
_AGREEMENT = """
    ok; okay; okey; oks; okk; okok; okie; blz; beleza; certo; certinho; ta; ta bom; ta bem;
    ta certo; ta otimo; esta bem; esta bom; esta certo; tudo bem; tudo certo; tudo bom; combinado;
    fechado; perfeito; otimo; excelente; maravilha; show; show de bola; top; legal; joia; massa;
    bacana; entendi; entendido; compreendi; compreendido; ciente; anotado; sem problema;
    sem problemas; tranquilo; de boa; suave; pode deixar; nao precisa mais; nao precisa; isso mesmo;
    got it; understood; great; perfect; nice; awesome; excellent; cool; good; very good; all good;
    alright; all right; sounds good; works for me; that works; no problem; no worries; noted; sure;
    fine;
    vale; listo; perfecto; genial; excelente; estupendo; de acuerdo; esta bien; muy bien; todo bien;
    entendido; entiendo; claro; bueno; buenisimo; dale; ya esta; sin problema; no hay problema
"""
"""An answer, when we have asked something; else the end of the talk."""

_GREETINGS = """
    bom dia; boa tarde; boa noite; ola; oi; good morning; good afternoon; good evening; good night;
    hi; hello; buen dia; buenos dias; buenas tardes; buenas noches; hola
"""
"""Beside "obrigado" they close; alone they open a talk."""

_YES = "sim; yes; yeah; yep; si; isso"
"""Beside "obrigado" the end of the talk, or the answer that we are waiting for."""

_AROUND = """
    muito muita mesmo demais tambem pela pelo pra voce vc vcs voces todos tudo ai entao e a o
    amigo amiga moco moca querido querida pessoal gente equipe time senhor senhora sr sra dr
    very so much to you all guys team sir madam mate buddy then and for now oh ah
    mucho muy ustedes usted equipo senor entonces y por ahora pues ya viu hein
    ne tah ate
"""
"""Single words beside closing words that ask for nothing; alone they close nothing."""


def _phrases(listed: str) -> frozenset[tuple[str, ...]]:
    return frozenset(words(phrase) for phrase in listed.split(";") if words(phrase))


_CLOSING = _phrases(_THANKS) | _phrases(_FAREWELLS)
_AGREEING = _phrases(_AGREEMENT) - _CLOSING
_ANSWERS = _phrases(_YES)
_BESIDE = _phrases(_GREETINGS) | _ANSWERS | frozenset((word,) for word in words(_AROUND))
_KNOWN = _CLOSING | _AGREEING | _BESIDE
_LONGEST = max(len(phrase) for phrase in _KNOWN)

_THUMBS = frozenset("👍👌🙏👏🤝✅❤🧡💛💚💙💜🤍🖤😊🙂😀😃😄😁😉😍🥰😘🤗😎✌💪👋🤙🙌💯⭐🌟🎉🥳♥☺")
_EMOJI_JOINTS = frozenset("\ufe0f\u200d🏻🏼🏽🏾🏿♀♂")
_LAUGH = re.compile(r"k{2,}|(?:rs)+|(?:ha){2,}h?|(?:he){2,}h?|(?:ja){2,}j?|(?:je){2,}j?|lol")
_SMILEYS = re.compile(r"(?:[:;=]-?[)D\]pP]|<3|\^_?\^)")
_QUESTIONS = frozenset("?¿\uff1f\u061f")
_HARMLESS = frozenset(" \t\r\n.,;:!\u2026~-\u2013\u2014()\"'*_¡")
_STRETCHED = re.compile(r"(.)\1{2,}")


def is_closing(text: str | None, *, answers: bool = False) -> bool:
    """Whether a customer's words only close the talk and want no answer.

    Args:
        text: What the customer wrote; None for a picture, a voice message or a file, which never
            close.
        answers: Whether we are waiting for what this customer says. Then "ok" is an answer that
            somebody has to act on, and no end.
    """
    if text is None or not _QUESTIONS.isdisjoint(text):
        return False
    bare = _SMILEYS.sub(" ", text)
    signs = [char for char in bare if not (char.isalnum() or char in _HARMLESS or _joins(char))]
    if any(sign not in _THUMBS for sign in signs):
        return False
    spoken = [word for word in words(bare) if not _LAUGH.fullmatch(word)]
    if not spoken:
        return bool(signs) or bare != text
    found = _phrases_of([_plain(word) for word in spoken])
    if found is None or (answers and not _ANSWERS.isdisjoint(found)):
        return False
    closing = _CLOSING if answers else _CLOSING | _AGREEING
    return bool(signs) or not closing.isdisjoint(found)


def _joins(char: str) -> bool:
    return char in _EMOJI_JOINTS or not fold(char).strip()


def _plain(word: str) -> str:
    """The word without letters drawn out ("obrigadaaa"), unless it is known with them."""
    return word if (word,) in _KNOWN else _STRETCHED.sub(r"\1", word)


def _phrases_of(spoken: list[str]) -> set[tuple[str, ...]] | None:
    """The known phrases that the words fall into, longest first; None when a word is left over."""
    found: set[tuple[str, ...]] = set()
    place = 0
    while place < len(spoken):
        for length in range(min(_LONGEST, len(spoken) - place), 0, -1):
            phrase = tuple(spoken[place : place + length])
            if phrase in _KNOWN:
                found.add(phrase)
                place += length
                break
        else:
            return None
    return found

"""Pure: which notice, to whom, in which words, and when to try again. No I/O, clock or chance."""

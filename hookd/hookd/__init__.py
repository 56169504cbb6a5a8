"""
Runs PEP 517 and PEP 660 build hooks for one parent process, each hook in a process of its own.

README.md in the folder above states the protocol and says what a client may rely on; this package is how it is done.
Python 3.8 or later, CPython, PyPy and GraalPy, standard library only.

Where ``fork`` exists, there are three kinds of process:

``hookd``
    speaks the protocol and supervises the hook that runs. It never imports a backend.
*keeper*
    one for each backend, forked from hookd. It imports the backend once, and forks a *hook process* for each hook. An
    import that fails, exits, crashes or hangs takes its keeper with it and nothing else. One more keeper, the plain
    one, has imported nothing: it serves in-tree backends (``backend-path``), which are imported again for each hook,
    and new interpreters.
*hook process*
    leads its own process group, calls the hook, writes the verdict to the report file, and exits.

hookd and keepers exchange frames (marshalled tuples) over two pipes. The verdict goes through a file and not through a
pipe: processes that a hook leaves behind would inherit a pipe, and a file can have any size while nobody reads it.

Without ``fork`` (Windows, GraalPy) each hook gets a new interpreter, and threads do the waiting.

================ =====================================================================
`wire`           values, and the client's end of the pipes
`daemon`         the protocol: actions, questions, answers
`forking`        hookd's side of a keeper: one hook from start to end
`keeper`         what runs in a keeper
`hook`           what runs in a hook process: import, call, check, report
`spawning`       one new interpreter for each hook, where there is no ``fork``
`processes`      process groups, the terminal, what the system says of an end
================ =====================================================================

A hook process shares its memory with hookd up to the fork. It must look like ``python -c`` to a backend, so the package
is removed from ``sys.modules`` there: import its modules at the top of a file, never within a function.
"""

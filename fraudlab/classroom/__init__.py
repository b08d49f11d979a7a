"""The class server: a JupyterLab for each learner of a class, behind one HTTPS address.

JupyterHub logs learners in, starts their JupyterLabs and keeps them apart; `configurable-http-proxy` leads each request to its server.
Both run under the stack's supervisor, as programs of their own: the hub can be restarted while learners go on working.

    page            the instructor's page: its parts, its table, its log-in
       ├── caretaking   what is done without being asked: jobs of those who left, jobs and kernels that take too much
       ├── reading      the class at a moment, from folders, hub, Flink and machine
       │      └── watching    who is stuck, hands, minutes; pure
       └── telling      announcements, hints, ending a job
    commands        up, down, status, add, reset, catch-up
       ├── programs     the hub, the proxy and the page, as the supervisor runs them
       │      ├── hub            JupyterHub's configuration
       │      │     └── authenticator   name and class code, within limits
       │      └── proxy          HTTPS, and what the proxy from PyPI lacks
       ├── certificate   given, or made and signed by itself
       └── room          a class: its names, files, ports and secrets
              └── access      the class code, and counting wrong ones

Each module knows only those below it. JupyterHub is imported by `authenticator` and `hub`, the proxy by `proxy`: only the processes that
run them load them.
"""

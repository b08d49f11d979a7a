"""Who may log in to the class server: a name on the class list, with the class code."""

from jupyterhub.auth import Authenticator
from tornado.web import HTTPError, RequestHandler

from fraudlab.classroom.access import WRONG_OF_A_NAME, WRONG_OF_AN_ADDRESS, is_code
from fraudlab.classroom.room import Room, spelled
from fraudlab.services.wrong_tries import WrongTries
from fraudlab.settings import Settings


class ClassAuthenticator(Authenticator):  # type: ignore[misc] # JupyterHub has no types
    """Asks for the class code before it looks at the name: without the code nobody learns who is in the class."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._room = Room(Settings())
        self._code = self._room.code()
        self._wrong = WrongTries()

    async def authenticate(self, handler: RequestHandler, data: dict[str, str] | None) -> str:
        """The learner's name. Raises HTTPError, whose message the log-in page shows."""
        name, typed = (str((data or {}).get(field, "")) for field in ("username", "password"))
        name, address = spelled(name), handler.request.remote_ip
        limits = [(f"name {name[:16]}", WRONG_OF_A_NAME), (f"address {address}", WRONG_OF_AN_ADDRESS)]
        if wait_s := self._wrong.wait_s(limits):
            raise HTTPError(
                429,
                "Too many wrong codes. Wait %d seconds, then try again. The code is on your instructor's screen.",
                int(wait_s) + 1,
            )
        if not is_code(typed, self._code):
            self._wrong.note(key for key, _ in limits)
            raise HTTPError(
                403,
                "This is not the class code. It is on your instructor's screen; capitals and hyphens do not matter.",
            )
        if name not in self._room.names():
            raise HTTPError(
                403,
                "The code is right, but this name is not on the class list. Ask your instructor how yours is spelled there.",
            )
        return name

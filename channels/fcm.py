"""Firebase Cloud Messaging through Google's SDK: send one message, and read what came of it.

Blocking: call it in a thread. The SDK retries inside `send` for up to four minutes and keeps to
itself which answer it got, so its retries are off and the last answer of each thread is kept. Both
need attributes that the SDK does not promise; `tests/notifications/senders/test_push.py` says when
they are gone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import firebase_admin
from firebase_admin import credentials, exceptions, messaging
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from requests import Response

from channels.bounded_adapter import BoundedAdapter
from channels.codes.fcm import BAD_MESSAGE, BAD_TOKEN
from channels.requests_errors import bad_certificate, was_not_written
from kit.ids import new_id

API_URL = "https://fcm.googleapis.com"
STEP_TIMEOUT_SECONDS = 10.0
UNREADABLE = "answer_unreadable"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_HTTP_SUCCESS = range(200, 300)
_RECIPIENT_FIELDS = frozenset({"message.token", "message.fid", "token", "fid"})


class FcmCallError(Exception):
    """A message was not accepted, or nobody knows.

    Attributes:
        code: FCM's error code, or the name of what went wrong on the way; None: no code.
        http_status: Of the answer, when there was one.
        headers: Of the answer.
    """

    def __init__(
        self,
        code: str | None,
        http_status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.http_status = http_status
        self.headers = headers or {}
        super().__init__(f"fcm {code} (HTTP {http_status})")


class FcmRefusedError(FcmCallError):
    """An answer that refuses: nothing was sent."""


class FcmUnclearError(FcmCallError):
    """The request was written and no readable answer came: it may have been sent."""


class FcmUnreachableError(FcmCallError):
    """There was no connection, to FCM or to where its access tokens come from: nothing was sent."""


class FcmCredentialError(FcmCallError):
    """The service account is missing, wrong or refused."""


class FcmMessageError(FcmCallError):
    """The SDK itself refuses the message: it is not valid."""


@dataclass(frozen=True, slots=True)
class _Answer:
    http_status: int
    headers: Mapping[str, str]
    body: bytes


class FcmClient:
    """The SDK with bounds; one for a process. Safe to use from several threads."""

    def __init__(
        self,
        *,
        project_id: str,
        service_account: Mapping[str, Any] | None,
        base_url: str = API_URL,
        timeout_seconds: float = STEP_TIMEOUT_SECONDS,
        connections: int = 16,
    ) -> None:
        """Make a client; nothing is read or sent before the first use.

        Args:
            project_id: Of Firebase.
            service_account: The JSON of a service account; None: application default credentials.
            base_url: Where FCM is.
            timeout_seconds: For each step of a request.
            connections: Kept open, as many as threads use it.
        """
        self._project_id = project_id
        self._service_account = service_account
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._connections = connections
        self._last = threading.local()
        self._starting = threading.Lock()

    def send(self, message: messaging.Message) -> str:
        """Send one message; the name FCM gives it.

        Raises:
            FcmRefusedError: when FCM refuses it.
            FcmUnclearError: when it may have been sent.
            FcmUnreachableError: when it was not sent.
            FcmCredentialError: when the service account is of no use.
            FcmMessageError: when the message is not valid.
        """
        service = self._ready()
        self._last.answer = None
        try:
            name = service.send(message)
        except (TransportError, GoogleAuthError) as error:
            raise _of_credentials(error) from error
        except exceptions.FirebaseError as error:
            raise self._of_answer(error.cause or error) from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if self._answer is None:
                code = "message_invalid"
                raise FcmMessageError(code) from error
            raise self._of_answer(error) from error
        if not isinstance(name, str) or not name:
            raise self._of_answer(ValueError(UNREADABLE))
        return name

    def access_token(self) -> None:
        """Get an access token, to see that the service account is accepted; sends nothing.

        Raises:
            FcmCredentialError, FcmUnreachableError: when there is none.
        """
        self._ready()
        try:
            self._app.credential.get_access_token()
        except GoogleAuthError as error:
            raise _of_credentials(error) from error

    def close(self) -> None:
        """Forget the app; the SDK keeps it by name otherwise."""
        if "_app" not in self.__dict__:
            return
        # The SDK ends its HTTP client by `asyncio.run`, which no thread with a loop may call.
        ending = threading.Thread(target=firebase_admin.delete_app, args=(self._app,), daemon=True)
        ending.start()
        ending.join()

    def _ready(self) -> Any:
        with self._starting:  # two threads at the first message shall make one app
            try:
                return self._service
            except (GoogleAuthError, ValueError, OSError) as error:
                raise _of_credentials(error) from error

    @cached_property
    def _app(self) -> Any:
        if self._service_account is None:
            credential = credentials.ApplicationDefault()
        else:
            credential = credentials.Certificate(dict(self._service_account))
        options = {"projectId": self._project_id, "httpTimeout": self._timeout_seconds}
        return firebase_admin.initialize_app(credential, options, name=f"ponte-{new_id()}")

    @cached_property
    def _service(self) -> Any:
        service = messaging._get_messaging_service(self._app)  # noqa: SLF001 - no public way
        service._fcm_url = (  # noqa: SLF001
            f"{self._base_url}/v1/projects/{self._project_id}/messages:send"
        )
        service._message_data = _request_of  # noqa: SLF001
        session = service._client.session  # noqa: SLF001
        adapter = BoundedAdapter(pool_maxsize=self._connections, max_retries=0)
        # The longest prefix wins, so the SDK's own mount for FCM has to be replaced by name.
        for prefix in ("https://", "http://", API_URL, self._base_url):
            session.mount(prefix, adapter)
        # A redirect is an answer: followed, it would carry message and token to somebody else.
        session.max_redirects = 0
        session.hooks["response"].append(self._keep)
        return service

    def _keep(self, response: Response, *_args: object, **_kwargs: object) -> None:
        self._last.answer = _Answer(response.status_code, dict(response.headers), response.content)

    @property
    def _answer(self) -> _Answer | None:
        return getattr(self._last, "answer", None)

    def _of_answer(self, error: BaseException) -> FcmCallError:
        answer = self._answer
        if answer is None:
            code = "tls_certificate" if bad_certificate(error) else type(error).__name__
            kind = FcmUnreachableError if was_not_written(error) else FcmUnclearError
            return kind(code)
        if answer.http_status in _HTTP_SUCCESS:
            return FcmUnclearError(UNREADABLE, answer.http_status)
        return FcmRefusedError(code_of(answer.body), answer.http_status, answer.headers)


def _of_credentials(error: Exception) -> FcmCallError:
    """Only a missing connection is worth another try; the rest is for a person to mend."""
    lasting = isinstance(error, DefaultCredentialsError | ValueError | FileNotFoundError)
    retryable = bool(getattr(error, "retryable", False))
    if not lasting and (isinstance(error, TransportError | OSError) or retryable):
        return FcmUnreachableError("token_server")
    return FcmCredentialError("service_account")


def code_of(body: bytes) -> str | None:
    """The error code of an answer; None when it has none that can be read.

    INVALID_ARGUMENT is told apart: a refused token keeps the name, a refused message is
    `INVALID_ARGUMENT:payload`. What is refused is said by the fields that BadRequest names; without
    any, an FcmError detail means the token.
    """
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError, RecursionError):
        return None
    if not isinstance(error, Mapping):
        return None
    details = error.get("details")
    parts = [part for part in _items(details) if isinstance(part, Mapping)]
    named = [part.get("errorCode") for part in parts if part.get("@type") == _FCM_ERROR]
    code = next((name for name in named if isinstance(name, str) and name), None)
    status = error.get("status")
    if BAD_TOKEN not in {code, status} or code not in {None, BAD_TOKEN}:
        return code or (status if isinstance(status, str) and status else None)
    fields = {
        str(violation.get("field"))
        for part in parts
        if part.get("@type") == _BAD_REQUEST
        for violation in _items(part.get("fieldViolations"))
        if isinstance(violation, Mapping)
    }
    about_token = bool(fields & _RECIPIENT_FIELDS) if fields else code == BAD_TOKEN
    return BAD_TOKEN if about_token else BAD_MESSAGE


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def encoded(message: messaging.Message) -> dict[str, Any]:
    """The message as it is written into the body.

    The SDK knows the priorities of Android by their old names in small letters; Google's own
    description has them in capitals, which is what is sent.
    """
    service = messaging._MessagingService  # noqa: SLF001 - the SDK's own encoder
    body: dict[str, Any] = service.encode_message(message)
    android = body.get("android", {})
    if "priority" in android:
        android["priority"] = str(android["priority"]).upper()
    return body


def _request_of(message: messaging.Message, dry_run: bool) -> dict[str, Any]:  # noqa: FBT001 - the SDK's
    body: dict[str, Any] = {"message": encoded(message)}
    if dry_run:
        body["validate_only"] = True
    return body

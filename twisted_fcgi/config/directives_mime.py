"""Directives of mod_mime and mod_actions, and what the core has about types of files."""

from __future__ import annotations

from twisted_fcgi.config.extensions import ExtensionsDraft
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import pathError
from twisted_fcgi.config.words import Word
from twisted_fcgi.mediatypes import parseTypes
from twisted_fcgi.settings import Action

__all__ = ["actions", "core", "negotiation", "rows"]

rows = Rows("mod_mime")
core = Rows("core")
actions = Rows("mod_actions")
negotiation = Rows("mod_negotiation")


def extensionsOf(scope: Scope) -> ExtensionsDraft:
    """Those of the section that a directive stands in."""
    section = scope.section
    if section.extensions is None:
        section.extensions = ExtensionsDraft()
    return section.extensions


def keyOf(extension: Word) -> bytes:
    """An extension without its dot; its case never counts."""
    return encode(extension).lower().removeprefix(b".")


def adding(name: str, field: str, value: str, example: str, doc: str) -> None:
    """The rows of a directive that gives extensions a meaning, and of the one that takes it."""

    def add(scope: Scope, word: Word, extension: Word) -> None:
        extensionsOf(scope).add(keyOf(extension), field, encode(word).lower())

    def remove(scope: Scope, extension: Word) -> None:
        if field == "type":
            # Not even TypesConfig's is left.
            extensionsOf(scope).add(keyOf(extension), field, b"")
        else:
            extensionsOf(scope).remove(keyOf(extension), field)

    rows.directive(
        f"Add{name}",
        Shape.ITERATE2,
        Context.ANYWHERE,
        syntax=f"{value} extension ...",
        example=f"Add{name} {example}",
        doc=doc,
        override=Override.FILE_INFO,
    )(addHandler if field == "handler" else add)
    rows.directive(
        f"Remove{name}",
        Shape.ITERATE,
        Context.ANYWHERE,
        syntax="extension ...",
        example=f"<Directory /srv/www/raw>\n    Remove{name} {example.split()[-1]}\n</Directory>",
        doc=f"Takes away what an outer section's Add{name} gave to extensions.",
        override=Override.FILE_INFO,
    )(remove)


def addHandler(scope: Scope, word: Word, extension: Word) -> None:
    """What AddHandler does; like httpd it looks at nothing but small letters."""
    lower = Word.make(word.lower(), word.line, word.start, word.end, word.kind)
    if lower != word and "unix:" in lower:
        scope.warn(word, f"in AddHandler this is {str(lower)!r}; SetHandler keeps capitals")
    target, balancer = scope.proxied(lower)
    extensionsOf(scope).handle(keyOf(extension), encode(lower), target, balancer, scope.place)


adding(
    "Type",
    "type",
    "type",
    "application/wasm .wasm",
    "The Content-Type of files, and of an application's answers without one, by the URL.",
)
adding(
    "Handler",
    "handler",
    "handler",
    '"proxy:unix:/run/php/php-fpm.sock|fcgi://localhost" .php',
    "Who serves files with an extension, unless SetHandler says it.\n\n"
    "``proxy:`` and a URL names an application; any other name is for Action.  An extension\n"
    "counts wherever it stands in a name, so that ``x.php.txt`` is run as well; to run only\n"
    "what ends with ``.php``, use SetHandler in a ``<FilesMatch>``.",
)
adding("Charset", "charset", "charset", "UTF-8 .utf8", "The charset of files by extension.")
adding("Encoding", "encoding", "encoding", "gzip .gz", "The Content-Encoding by extension.")
adding("Language", "language", "language", "de .de", "The Content-Language by extension.")


@rows.directive(
    "DefaultLanguage",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="language",
    default="none",
    example="DefaultLanguage en",
    override=Override.FILE_INFO,
)
def defaultLanguage(scope: Scope, word: Word) -> None:
    """The Content-Language where no extension gives one."""
    scope.section.values["defaultLanguage"] = encode(word)


@rows.directive(
    "ModMimeUsePathInfo",
    Shape.FLAG,
    Context.SECTIONS,
    syntax="On|Off",
    default="Off",
    example='<Location "/docs">\n    ModMimeUsePathInfo On\n</Location>',
)
def modMimeUsePathInfo(scope: Scope, on: bool) -> None:
    """Whether extensions in PATH_INFO count."""
    scope.section.values["pathInfoHasType"] = on


@rows.directive(
    "TypesConfig",
    Shape.TAKE1,
    Context.SERVER,
    syntax="file",
    default="Python's and the system's types",
    example="TypesConfig /etc/mime.types",
)
def typesConfig(scope: Scope, word: Word) -> None:
    """The file with the types of all extensions, in the form of ``mime.types``; read once."""
    if scope.server.virtual:
        scope.warn(word, "only that of the main server is read: this has no effect")
        return
    try:
        with open(scope.path(word), "rb") as file:
            scope.server.values["types"] = parseTypes(file.read())
    except OSError as error:
        raise pathError(word, f"{scope.path(word)}: {error.strerror}") from None


rows.ignore("MultiviewsMatch", "there is no content negotiation", Override.FILE_INFO)
negotiation.ignore("CacheNegotiatedDocs", "there is no content negotiation")
negotiation.ignore(
    "LanguagePriority ForceLanguagePriority", "there is no content negotiation", Override.FILE_INFO
)
rows.ignore(
    "RemoveInputFilter RemoveOutputFilter",
    "there are no filters that could be removed",
    Override.FILE_INFO,
)


@core.directive(
    "ForceType",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="type|None",
    example='<Location "/raw/">\n    ForceType text/plain\n</Location>',
    override=Override.FILE_INFO,
)
def forceType(scope: Scope, word: Word) -> None:
    """The Content-Type whatever the name; an application's own is left as it is."""
    scope.section.values["forcedType"] = b"" if word.lower() == "none" else encode(word).lower()


@core.directive(
    "AddDefaultCharset",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="On|Off|charset",
    default="Off",
    example="AddDefaultCharset UTF-8",
    override=Override.FILE_INFO,
)
def addDefaultCharset(scope: Scope, word: Word) -> None:
    """
    The charset of ``text/plain`` and ``text/html`` that name none.

    Also of an application's answers.  ``On`` is ``iso-8859-1``.
    """
    charsets = {"off": b"", "on": b"iso-8859-1"}
    scope.section.values["defaultCharset"] = charsets.get(word.lower(), encode(word))


@core.directive(
    "DefaultType",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="None",
    default="None",
    example="DefaultType None",
    override=Override.FILE_INFO,
)
def defaultType(scope: Scope, word: Word) -> None:
    """Nothing any more, as in httpd: what has no type is sent without one."""
    if word.lower() not in ("none", "off"):
        scope.warn(word, "there is no type for all that has none: this has no effect")


@actions.directive(
    "Action",
    Shape.TAKE23,
    Context.ANYWHERE,
    syntax="handler|type path [virtual]",
    example="AddHandler php-script .php\n"
    "Action php-script /php-fcgi virtual\n"
    '<Location "/php-fcgi">\n    SetHandler "proxy:fcgi://127.0.0.1:9000"\n</Location>',
    override=Override.FILE_INFO,
)
def action(scope: Scope, name: Word, path: Word, option: Word | None) -> None:
    """
    What serves files with a handler or a type: a local URL, with the file's behind it.

    The application there gets the file's URL as PATH_INFO, its path as PATH_TRANSLATED, and
    the handler as REDIRECT_HANDLER.  ``virtual``: there need be no such file.
    """
    if option is not None and option.lower() != "virtual":
        raise option.error(f"{str(option)!r} is no option", "virtual")
    table = scope.section.values.setdefault("actions", {})
    # Names of handlers are looked for whatever their case.
    table[encode(name).lower()] = Action(encode(path), option is not None, scope.place)


@actions.directive(
    "Script",
    Shape.TAKE2,
    Context.ANYWHERE,
    syntax="method path",
    example="Script PUT /upload.php",
)
def script(scope: Scope, method: Word, path: Word) -> None:
    """
    What serves a method, where no application does: a local URL, with the request's behind it.

    For GET only if there is a query.
    """
    if method == "TRACE":
        raise method.error("TRACE is no method for a script")
    name = b"GET" if method == "HEAD" else encode(method)
    scope.section.values.setdefault("scripts", {})[name] = encode(path)

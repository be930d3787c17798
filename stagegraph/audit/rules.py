"""The rules of ``doit lint``: which words of a step fetch something that nothing pins, and how to pin it.

Pure. A rule judges by the words alone. A word that only the build knows (``$PACKAGES``) is given the benefit
of the doubt, unless the command cannot fetch a fixed version anyway.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..dockerfile.shell import Command


class Step(NamedTuple):
    """One RUN.

    ``copied`` are the files and folders that COPY, ADD and mounts brought before, as they are written.
    ``dated``: the package date is part of the key.
    """

    commands: Sequence[Command]
    copied: Sequence[str]
    dated: bool


class Rule(NamedTuple):
    """One rule. ``check`` yields what a command fetches; nothing if it is pinned, or no concern of the rule.

    ``what`` completes the sentence "it fetches ...". ``pin`` says how to pin it.
    """

    name: str
    what: str
    pin: str
    check: Callable[[Command, Step], Iterator[str]]


_COMMIT = re.compile(r"[0-9a-f]{7,40}")

_HERE = re.compile(r"file:|(https?://)?(localhost|127\.0\.0\.1|\[::1\])([:/]|$)")

#: A commit or sha256 in the path of a URL fixes what it gives.
_FIXED_URL = re.compile(r"[/@][0-9a-f]{40}([0-9a-f]{24})?(?![0-9a-f])")

_CHECKSUMS = re.compile(r"(sha\d+|md5|b2)sum|shasum|gpgv|minisign|cosign")


def _split(words: Iterable[str], valued: str) -> tuple[dict[str, str], list[str]]:
    """Divide words into options with their values ("" for none), and the rest.

    ``valued`` lists the options that take the next word, separated by spaces.
    """
    takes, options, rest, words = frozenset(valued.split()), dict[str, str](), list[str](), iter(words)
    for word in words:
        if word == "--":
            rest += words
        elif not word.startswith("-") or word == "-":
            rest.append(word)
        elif word.startswith("--") or word in takes:
            name, _, value = word.partition("=")
            options[name] = value or (next(words, "") if word in takes else "")
        else:
            for place, letter in enumerate(word[1:], 2):
                options[f"-{letter}"] = ""
                if f"-{letter}" in takes:
                    options[f"-{letter}"] = word[place:] or next(words, "")
                    break
    return options, rest


def _is_local(word: str) -> bool:
    return word.startswith((".", "/", "~")) or (word.startswith("$") and "/" in word)


# -- Python ------------------------------------------------------------------------------------------

_PIP = (
    "-r --requirement -c --constraint -t --target -i --index-url --extra-index-url -f --find-links"
    " --prefix --root"
    " --platform --python-version --implementation --abi --only-binary --no-binary --timeout"
    " --default-timeout"
    " --retries --cache-dir --trusted-host --proxy --cert --client-cert --log --upgrade-strategy"
    " --config-settings"
    " --global-option --install-option --build-option --progress-bar --src --python --report --use-"
    " feature -d --dest"
    " -w --wheel-dir -e --editable --index --group --exists-action --no-build-isolation-package -b"
    " --build"
)
_FIXED_REQUIREMENT = re.compile(r"[^<>=!~]+===?[^*<>]+")


def _pip(command: Command, _step: Step) -> Iterator[str]:
    words = list(command.arguments)
    if re.fullmatch(r"python[\d.]*", command.name) and words[:2] == ["-m", "pip"]:
        words = words[2:]
    elif command.name == "uv" and words[:1] in (["pip"], ["tool"]):
        words = words[1:]
    elif not re.fullmatch(r"pip[\d.]*|pipx", command.name):
        return
    _, words = _subcommand(words, ("install", "download", "wheel"))
    options, wanted = _split(words, _PIP)
    if {"-c", "--constraint", "--require-hashes", "--no-index"} & options.keys():
        return
    wanted += [word for name in ("-e", "--editable") if "://" in (word := options.get(name, ""))]
    loose = [word for word in wanted if not _is_fixed_requirement(word)]
    if loose:
        yield f"pip install {' '.join(loose)}"


def _is_fixed_requirement(word: str) -> bool:
    name, at, url = word.partition("@")
    if "://" in word:
        url = url if at and "://" in url and "://" not in name else word
        return "#sha256=" in url or bool(_FIXED_URL.search(url)) or "$" in url.rpartition("@")[2]
    if "/" in word or word == "." or word.endswith((".whl", ".tar.gz", ".zip")) or word.startswith("$"):
        return True
    return bool(_FIXED_REQUIREMENT.fullmatch(word.partition(";")[0].strip())) or "${" in word


def _subcommand(words: list[str], names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the first word that is no option if it is one of ``names``, and the words behind it."""
    for place, word in enumerate(words):
        if not word.startswith("-"):
            return (word, words[place + 1 :]) if word in names else ("", [])
    return "", []


_FIXED_PACKAGE = re.compile(r"[^<>=!~]+==?[^<>]+")


def _conda(command: Command, _step: Step) -> Iterator[str]:
    if command.name not in ("conda", "mamba", "micromamba"):
        return
    _, words = _subcommand(list(command.arguments), ("install", "create"))
    _, wanted = _split(
        words, "-c --channel -n --name -p --prefix -f --file -r --root-prefix --platform --solver"
    )
    loose = [w for w in wanted if not (_is_local(w) or "$" in w or _FIXED_PACKAGE.fullmatch(w))]
    if loose:
        yield f"{command.name} install {' '.join(loose)}"


# -- files and sources -------------------------------------------------------------------------------

_CURL = (
    "-o --output -H --header -d --data --data-raw --data-binary --data-urlencode -X --request -u"
    " --user -A"
    " --user-agent -e --referer -b --cookie -c --cookie-jar -K --config -F --form -T --upload-file -w"
    " --write-out"
    " --retry --retry-delay --retry-max-time -m --max-time --connect-timeout -x --proxy --cacert"
    " --cert -E --key -C"
    " --continue-at -r --range --proto --proto-redir --proto-default --output-dir --resolve --limit-"
    " rate -D"
    " --dump-header -Y -y --speed-limit --speed-time --max-redirs --ciphers --tls-max --interface"
    " --noproxy -z"
)
#: Options with which curl sends something, or gets no file.
_NO_DOWNLOAD = {"-X", "--request", "-d", "--data", "-T", "-F", "--form", "-I", "--head", "--version", "-V"}
_WGET = (
    "-O --output-document -o --output-file -a --append-output -P --directory-prefix -t --tries -T"
    " --timeout --header"
    " -e --execute -i --input-file -U --user-agent --user --password --post-data --progress"
    " --waitretry -w --wait"
    " --retry-on-http-error --ca-certificate --connect-timeout --read-timeout --dns-timeout --limit-"
    " rate -A -R -l"
)


def _download(command: Command, step: Step) -> Iterator[str]:
    if command.name not in ("curl", "wget") or any(map(_checks, step.commands)):
        return
    options, urls = _split(command.arguments, f"{_CURL} --url" if command.name == "curl" else _WGET)
    others = _NO_DOWNLOAD if command.name == "curl" else {"--spider", "--version"}
    unread = "/dev/null" in (options.get("-o"), options.get("--output"), options.get("-O"))
    urls += [url] if (url := options.get("--url", "")) else []
    if not (unread or others & options.keys()):
        yield from (f"{command.name} {url}" for url in urls if not _is_fixed_url(url))


def _is_fixed_url(url: str) -> bool:
    """Return True for a URL that gives always the same, or nothing that this machine does not have.

    A word that is only a variable counts if its name says that it is a URL: it may hold options.
    """
    if re.fullmatch(r"\$(\w+|\{.*\})", url):
        return not re.search(r"ur[il]|link|mirror", url, re.IGNORECASE)
    return bool(_HERE.match(url) or _FIXED_URL.search(url))


def _checks(command: Command) -> bool:
    """Return True for a command that compares a checksum or a signature."""
    if command.name in ("gpg", "gpg2", "openssl"):
        return bool({"--verify", "dgst"} & {*command.arguments})
    return bool(_CHECKSUMS.fullmatch(command.name))


_CLONE = (
    "-b --branch --depth -c --config -o --origin --reference --filter -j --jobs --separate-git-dir"
    " --template"
    " --shallow-since -u --upload-pack --revision"
)
_GIT = "-C -c --git-dir --work-tree"


def _git(command: Command, step: Step) -> Iterator[str]:
    name, words = _git_command(command)
    if name != "clone":
        return
    options, rest = _split(words, _CLONE)
    source = rest[0] if rest else ""
    revision = options.get("--revision", "")
    if not source or _is_local(source) or _HERE.match(source) or _is_commit(revision):
        return
    if not any(map(_takes_commit, step.commands)):
        branch = options.get("-b") or options.get("--branch")
        yield f"git clone {f'-b {branch} ' if branch else ''}{source}"


def _git_command(command: Command) -> tuple[str, list[str]]:
    """Return the command of git and its words; "" for another program."""
    words = list(command.arguments) if command.name == "git" else []
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in _GIT.split() else 1 :]
    return (words[0], words[1:]) if words else ("", [])


def _takes_commit(command: Command) -> bool:
    name, words = _git_command(command)
    return name in ("checkout", "reset", "switch", "fetch") and any(map(_is_commit, words))


def _is_commit(word: str) -> bool:
    return bool(_COMMIT.fullmatch(word)) or (word.startswith("$") and len(word) > 1)


# -- other languages ---------------------------------------------------------------------------------

_LOCKS = {
    "npm": ("package-lock.json", "npm-shrinkwrap.json"),
    "yarn": ("yarn.lock",),
    "pnpm": ("pnpm-lock.yaml",),
}
_NPM = "--prefix --registry --cache --loglevel -w --workspace --cwd --modules-folder -C --dir --filter"
_EXACT = re.compile(r"(npm:)?@?[^@]+@v?\d+(\.\d+){2}([-+][\w.+-]+)?")


def _npm(command: Command, step: Step) -> Iterator[str]:
    if command.name not in _LOCKS:
        return
    words = [word for word in command.arguments if word != "global"]
    name, words = _subcommand(words, ("install", "i", "add")) if words else ("install", [])
    options, wanted = _split(words, _NPM)
    loose = [w for w in wanted if not (_is_local(w) or "$" in w or _EXACT.fullmatch(w))]
    if loose:
        yield f"{command.name} {name} {' '.join(loose)}"
    elif name and not wanted and not ({"-g", "--global"} & options.keys()):
        manifest = any(path.endswith("package.json") for path in step.copied)
        others = [path for path in step.copied if not path.endswith("package.json")]
        if manifest and not any(_may_bring(path, _LOCKS[command.name]) for path in others):
            yield f"{command.name} install, of a package.json without {_LOCKS[command.name][0]}"


def _may_bring(path: str, names: Sequence[str]) -> bool:
    """Return True if a copied path is one of ``names``, a pattern, a folder, or known to the build alone."""
    last = path.rstrip("/").rpartition("/")[2]
    return path.endswith(tuple(names)) or "." not in last.strip(".") or bool(re.search(r"[*?[$]", path))


def _go(command: Command, _step: Step) -> Iterator[str]:
    if command.name != "go":
        return
    name, words = _subcommand(list(command.arguments), ("install", "get"))
    _, wanted = _split([re.sub(r"^-(?=\w{2})", "--", word) for word in words], "--tags --ldflags --mod -o -p")
    for word in wanted:
        version = word.partition("@")[2]
        if version and not re.fullmatch(r"v\d.*|[0-9a-f]{7,40}|.*\$.*", version):
            yield f"go {name} {word}"


_CARGO = (
    "--version --vers --git --branch --tag --rev --path --root --index --registry --features -F"
    " --bin --example --target"
    " --profile -j --jobs --config --target-dir"
)


def _cargo(command: Command, _step: Step) -> Iterator[str]:
    words = list(command.arguments)
    words = words[1:] if words[:1] and words[0].startswith("+") else words
    name, words = _subcommand(words, ("install",)) if command.name == "cargo" else ("", [])
    options, wanted = _split(words, _CARGO)
    if not name or not (wanted or {"--git", "--path"} & options.keys()):
        return
    fixed = {"--version", "--vers", "--rev", "--path"} & options.keys()
    loose = [w for w in wanted if "@" not in w and "$" not in w]
    missing = [] if fixed or ("--git" not in options and not loose) else ["a version"]
    missing += [] if "--locked" in options or "--frozen" in options else ["--locked"]
    if missing:
        crate = " ".join(wanted) or options.get("--git") or options.get("--path")
        yield f"cargo install {crate}, without {' and '.join(missing)}"


def _gem(command: Command, _step: Step) -> Iterator[str]:
    if command.name != "gem":
        return
    _, words = _subcommand(list(command.arguments), ("install", "i"))
    options, wanted = _split(words, "-v --version -i --install-dir -n --bindir --platform -s --source -P")
    version = options.get("-v") or options.get("--version") or ""
    loose = [w for w in wanted if not (":" in w or w.endswith(".gem") or "$" in w or _is_local(w))]
    if loose and (not version or re.search(r"[<>~]", version)):
        yield f"gem install {' '.join(loose)}"


# -- packages of the distribution --------------------------------------------------------------------

_INSTALLS = {
    "apt": "install", "apt-get": "install", "aptitude": "install", "nala": "install", "apk": "add",
    "dnf": "install", "microdnf": "install", "tdnf": "install", "yum": "install", "zypper": "install",
    "rosdep": "install",
}  # fmt: skip
_PACKAGES = "-t --target-release -o -c --repository -X --virtual -r --from-paths --rosdistro --skip-keys --os"


def _packages(command: Command, step: Step) -> Iterator[str]:
    if step.dated or command.name not in _INSTALLS:
        return
    name, words = _subcommand(list(command.arguments), (_INSTALLS[command.name],))
    _, wanted = _split(words, _PACKAGES)
    loose = [word for word in wanted if "=" not in word and not _is_local(word)]
    if name and (loose or not wanted):
        yield f"{command.name} {name} {' '.join(loose)}".strip()


#: All rules, in the order of the documentation.
RULES = (
    Rule(
        "unpinned-pip",
        "Python packages without a version, by a URL without `#sha256=`, or by git without a commit.",
        "write NAME==VERSION, or use -r FILE with versions and --require-hashes",
        _pip,
    ),
    Rule(
        "unpinned-conda",
        "conda packages without a version.",
        "write NAME=VERSION, or install from a lock file with --file",
        _conda,
    ),
    Rule(
        "unpinned-download",
        "A file by `curl` or `wget`, whose checksum the step does not compare.",
        "compare in the same step: echo 'SHA256  FILE' | sha256sum -c; or use ADD --checksum=sha256:... URL",
        _download,
    ),
    Rule(
        "unpinned-git",
        "`git clone` without a commit: a branch or a tag can move.",
        "git checkout COMMIT in the same step, or ADD https://...git#COMMIT",
        _git,
    ),
    Rule(
        "unpinned-npm",
        "`npm`, `yarn` or `pnpm` packages without a version, or a `package.json` without its lock.",
        "write NAME@1.2.3; for a project, copy its lock and call npm ci",
        _npm,
    ),
    Rule(
        "unpinned-go",
        "`go install X@latest`, or another version that moves.",
        "write X@v1.2.3",
        _go,
    ),
    Rule(
        "unpinned-cargo",
        "`cargo install` without a version, or without the dependencies that its lock names.",
        "cargo install --locked NAME@1.2.3",
        _cargo,
    ),
    Rule(
        "unpinned-gem",
        "Gems without a version.",
        "gem install NAME -v 1.2.3, or NAME:1.2.3",
        _gem,
    ),
    Rule(
        "undated-packages",
        "Packages of the distribution, though the package date is not part of the key.",
        "write NAME=VERSION",
        _packages,
    ),
)

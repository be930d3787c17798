"""``doit export bake``: the real ``docker buildx bake`` builds the same images from the file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from kit import FOREIGN, NATIVE, Project, header
from libraries import with_libraries

pytestmark = pytest.mark.engine

STAGES = """
[stages.tools]
path = "tools"
[stages."words.en"]
path = "words"
[stages.words_en]
path = "words"
dockerfile = "other.Dockerfile"
[stages.app]
path = "app"
args = { WHO = "${nobody}" }
[stages.app.platforms.there]
args = { WHO = "elsewhere" }
[stages.both]
path = "both"
network = "none"

[images.app]
[images.pair]
stage = "both"
test = "check"
platforms = ["here"]
"""

FILES = {
    "tools/Dockerfile": "FROM scratch\nCOPY . /\n",
    "tools/.dockerignore": "hidden\n*Dockerfile\n",
    "tools/hidden": "not in the image\n",
    "tools/link": "a file\n",
    "words/Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY --chmod=640 words /$TARGETARCH/\n",
    "words/other.Dockerfile": "FROM scratch AS first\nCOPY words /first\nFROM scratch\nCOPY words /\n",
    "words/words": "hello\n",
    "app/Dockerfile": """\
        FROM words.en AS words
        FROM words_en
        ARG WHO
        ENV WHO=$WHO LANG=C
        LABEL who=$WHO
        COPY --from=words / /all/
        USER 7
        WORKDIR /all
        CMD ["/bin/sh"]
        """,
    "both/Dockerfile": f"""\
        FROM --platform={FOREIGN} app AS foreign
        FROM tools
        ARG TARGETPLATFORM
        COPY --from=app / /app/
        COPY --from=foreign / /foreign/
        RUN echo $TARGETPLATFORM >/platform
        """,
    "check/Dockerfile": "ARG IMAGE\nFROM ${IMAGE}\nRUN test -s /platform\n",
}


def image(tag: str, platform: str, folder: Path) -> tuple[dict[str, object], dict[str, object]]:
    """Return the files of an image and what its configuration says."""
    command = ["docker", "create", f"--platform={platform}", tag, "none"]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    path = folder / "image.tar"
    try:
        subprocess.run(["docker", "export", f"--output={path}", container], check=True)
        inspect = ["docker", "container", "inspect", container]
        config = json.loads(subprocess.run(inspect, check=True, capture_output=True).stdout)[0]["Config"]
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True)
    files: dict[str, object] = {}
    with tarfile.open(path) as archive:
        for item in archive:
            data = archive.extractfile(item) if item.isreg() else None
            digest = hashlib.sha256(data.read()).hexdigest() if data else ""
            files[item.name] = (item.type, item.mode, item.uid, item.gid, item.linkname, digest)
    wanted = ("Env", "Labels", "User", "WorkingDir", "Entrypoint", "ExposedPorts", "OnBuild")
    return files, {name: config.get(name) for name in wanted}


def bake(project: Project, *words: str) -> dict[str, Any]:
    """Build what ``doit export bake`` writes for these words; return the file."""
    done = subprocess.run(
        ["doit", "export", "bake", *words], cwd=project.folder, capture_output=True, text=True, check=True
    )
    command = ["docker", "buildx", "bake", "--file=-", "--load"]
    built = subprocess.run(
        command,
        cwd=project.folder,
        input=done.stdout,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    file: dict[str, Any] = json.loads(done.stdout)
    return file


def test_bake_builds_the_same_images(project: Project, repo: str, tmp_path: Path) -> None:
    project.write({**FILES, "stages.toml": header(repo) + STAGES})
    with_libraries(project.folder / "tools", "sh", "test")
    (project.folder / "tools/to-link").symlink_to("link")
    project.built("app:here", "app:there", "pair:here")
    other = project.copy(tmp_path / "other")
    other.write({"stages.toml": header(f"{repo}-bake") + STAGES})
    file = bake(other, "app", "pair:here")
    assert {"app-here", "app-there", "app-platforms", "both"} <= file["target"].keys()
    for name, platform in (("app-here", NATIVE), ("app-there", FOREIGN), ("pair-here", NATIVE)):
        ours = image(f"{repo}:{name}", platform, tmp_path)
        assert image(f"{repo}-bake:{name}", platform, tmp_path) == ours, name
    assert "hidden" not in ours[0] and "platform" in ours[0]


def test_bake_builds_from_a_base_in_cache(project: Project, repo: str, tmp_path: Path) -> None:
    """A finished image is named by its digest in ``cache/``, as a bootstrapped base is."""
    project.write({**FILES, "stages.toml": header(repo) + STAGES})
    with_libraries(project.folder / "tools", "sh", "test")
    ran = project.built("tools:here")
    file = bake(project, "tools:here")
    table = file["target"]["tools"]
    digest = ran.digests["tools:here"]
    # the same context as `doit export` writes for a base that mmdebstrap has made
    file["target"]["tools"] = {
        **table,
        "dockerfile-inline": "FROM base\n",
        "contexts": {"base": f"oci-layout://cache@{digest}"},
        "tags": [f"{repo}:based"],
    }
    built = subprocess.run(
        ["docker", "buildx", "bake", "--file=-", "--load", "tools"],
        cwd=project.folder, input=json.dumps(file), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    files, _ = image(f"{repo}:based", NATIVE, tmp_path)
    assert "link" in files

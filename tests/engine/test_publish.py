"""``doit publish``: an index over platforms, documents about each image, a second engine that pulls it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest
from derived import differences
from kit import FOREIGN, NATIVE, Project, Registry, header

from stagegraph.store.repository import keeps_types

pytestmark = pytest.mark.engine

SHA256 = "0123456789abcdef" * 4
TEXTS = {NATIVE: "native", FOREIGN: "foreign"}


@pytest.fixture
def both(project: Project, repo: str) -> Project:
    """An image without a shell for two OCI platforms. A third platform shares one of them."""
    project.write(
        {
            "part/Dockerfile": f"""\
                FROM scratch
                # not run: what counts is how it is written
                COPY part /
                LABEL source="hello_1.2.orig.tar.xz {SHA256}"
                """,
            "part/part": "a part",
            "app/Dockerfile": """\
                FROM scratch
                ARG TARGETPLATFORM
                ARG WORD=plain
                COPY ${TARGETPLATFORM} /text
                COPY ${WORD} /word
                COPY status /var/lib/dpkg/status
                COPY METADATA /opt/site-packages/robot-2.0.dist-info/METADATA
                COPY --from=part / /
                """,
            "app/plain": "plain",
            "app/board": "board",
            f"app/{NATIVE}": "native",
            f"app/{FOREIGN}": "foreign",
            "app/status": """\
                Package: libc6
                Status: install ok installed
                Architecture: arm64
                Version: 2.41
                """,
            "app/METADATA": "Metadata-Version: 2.1\nName: robot\nVersion: 2.0\n\nDrives.\n",
            "stages.toml": header(repo)
            + f'[platforms.board]\ndocker = "{FOREIGN}"\nargs = {{ WORD = "board" }}\n'
            + '[stages.part]\npath = "part"\n'
            + '[stages.app]\npath = "app"\ndescription = "an app"\n[images.app]\n',
        }
    )
    return project


def raw(registry: Registry, repo: str, name: str) -> dict[str, Any]:
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/{repo}{name}"]
    value = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert isinstance(value, dict)
    return value


def blob(registry: Registry, digest: str) -> bytes:
    value = digest.removeprefix("sha256:")
    return (registry.data / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data").read_bytes()


def pushed(project: Project, *words: str) -> dict[str, str]:
    run = project.doit("publish", "--json", *words)
    assert run.status == 0, run.output
    # there may be warnings before and after
    value, _ = json.JSONDecoder().raw_decode(run.output[run.output.index("{") :])
    assert differences("doit publish --json", value) == set()
    return {item["reference"].rpartition(":")[2]: item["state"] for item in value["pushed"]}


def test_a_published_index_lists_all_platforms(
    both: Project, registry: Registry, repo: str, second_engine: dict[str, str]
) -> None:
    both.built("app:here", "app:there")
    setting = f"registry={registry.host}"
    assert set(pushed(both, "--dry-run", "app", setting).values()) == {"new"}
    assert not list(registry.data.rglob("link"))  # nothing was pushed
    assert set(pushed(both, "app", setting, "--version=1.2").values()) == {"new"}

    index = raw(registry, repo, ":app")
    platforms = ["/".join((m["platform"]["os"], m["platform"]["architecture"])) for m in index["manifests"]]
    assert platforms == [NATIVE, FOREIGN]  # without the board, which is not built
    notes = {name.rpartition(".")[2]: value for name, value in index["annotations"].items()}
    assert notes["created"] == "2025-01-01T00:00:00Z"
    assert (notes["title"], notes["description"], notes["version"]) == ("app", "an app", "1.2")
    for manifest, platform in zip(index["manifests"], ("here", "there"), strict=True):
        assert raw(registry, repo, f":app-{platform}") == raw(registry, repo, f"@{manifest['digest']}")

    # another machine pulls its own platform, or the one that it requests
    engine = {**os.environ, **second_engine}
    reference = f"{registry.host}/{repo}:app"
    for docker, text in TEXTS.items():
        subprocess.run(
            ["docker", "pull", "-q", f"--platform={docker}", reference],
            env=engine, check=True, capture_output=True,
        )  # fmt: skip
        name = subprocess.run(
            ["docker", "create", f"--platform={docker}", reference, "none"],
            env=engine, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        copied = subprocess.run(
            ["docker", "cp", f"{name}:/text", "-"], env=engine, check=True, capture_output=True
        )
        assert text.encode() in copied.stdout

    # a second call pushes nothing
    assert set(pushed(both, "app", setting, "--version=1.2").values()) == {"same"}
    # an edit of one platform's file moves that image and the index; the other image stays
    both.write({f"app/{FOREIGN}": "foreign, edited"})
    both.built("app:there")
    states = pushed(both, "app", setting, "--version=1.2")
    assert (states["app-here"], states["app-there"], states["app"]) == ("same", "moved", "moved")
    assert raw(registry, repo, ":app")["manifests"][0] == index["manifests"][0]


def test_a_published_image_has_a_bill_of_materials_and_provenance(
    both: Project, registry: Registry, repo: str
) -> None:
    both.built("app:here", "app:there", "app:board")
    states = pushed(both, "app", f"registry={registry.host}")
    assert states["app-board"] == "new"
    assert len(raw(registry, repo, ":app")["manifests"]) == 2  # a board has only its own tag
    assert raw(registry, repo, ":app-board")["config"]["mediaType"].endswith("image.config.v1+json")
    digest = raw_digest(registry, repo, ":app-board")
    listed = raw(registry, repo, f":{digest.replace(':', '-')}")
    documents = {}
    keeps = keeps_types()
    for entry in listed["manifests"]:
        if keeps:
            assert entry["artifactType"] in {"application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}
        artifact = raw(registry, repo, f"@{entry['digest']}")
        assert artifact["subject"]["digest"] == digest
        (layer,) = artifact["layers"]
        assert layer["mediaType"] == artifact["artifactType"]
        documents[artifact["artifactType"]] = json.loads(blob(registry, layer["digest"]))
    bill, made = documents["application/vnd.cyclonedx+json"], documents["application/vnd.in-toto+json"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {c["purl"] for c in bill["components"]} == {
        "pkg:deb/debian/libc6@2.41?arch=arm64",
        "pkg:pypi/robot@2.0",
        f"pkg:generic/hello@1.2?checksum=sha256:{SHA256}",
    }
    (source,) = [c for c in bill["components"] if "hashes" in c]
    assert (source["name"], source["version"], source["hashes"][0]["content"]) == ("hello", "1.2", SHA256)
    (subject,) = made["subject"]
    assert subject["digest"]["sha256"] == digest.removeprefix("sha256:")
    definition = made["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["platform"] == "board"
    assert definition["externalParameters"]["arg:WORD"] == "board"
    assert {d["name"] for d in definition["resolvedDependencies"]} >= {"part:board", "hello_1.2.orig.tar.xz"}


def test_provenance_is_complete_if_the_cache_has_only_the_image(
    both: Project, registry: Registry, repo: str
) -> None:
    """As in CI: a job pulls the image and none of its ancestors."""
    setting = f"registry={registry.host}"
    both.built("app:here", "app:there", setting)
    first = pushed(both, "app", setting)
    shutil.rmtree(both.folder / "cache")
    assert both.built("app:here", "app:there", setting).built == set()
    records = [json.loads(path.read_bytes()) for path in (both.folder / "cache/records").iterdir()]
    assert {record["annotations"]["stagegraph.node"] for record in records} == {"app:here", "app:there"}
    assert set(pushed(both, "app", setting)) == set(first)
    assert set(pushed(both, "app", setting).values()) == {"same"}


def test_a_referrer_that_somebody_else_attached_is_kept(both: Project, registry: Registry, repo: str) -> None:
    """A foreign entry, for example a signature, stays in the list of an image's referrers."""
    both.built("app:here", "app:there")
    setting = f"registry={registry.host}"
    pushed(both, "app", setting)
    digest = raw(registry, repo, ":app")["manifests"][0]["digest"]
    tag = digest.replace(":", "-")
    listed = raw(registry, repo, f":{tag}")
    # a foreign entry: an artifact that exists, without our mark
    strange = {**listed["manifests"][0], "annotations": {"somebody": "else"}}
    strange["digest"] = raw_digest(registry, repo, f":{'app-there'}")
    strange["size"] = len(blob(registry, strange["digest"]))
    listed["manifests"].append(strange)
    put(registry, repo, tag, listed)
    assert set(pushed(both, "app", setting).values()) == {"same"}
    assert strange["digest"] in {m["digest"] for m in raw(registry, repo, f":{tag}")["manifests"]}
    # ours is replaced, because now there is a commit; the other entry stays
    both.write({".gitignore": "cache/\n"})
    commit(both, "init -q", "add .", "commit -qm first")
    assert pushed(both, "app", setting)[tag] == "moved"
    after = raw(registry, repo, f":{tag}")["manifests"]
    assert strange["digest"] in {m["digest"] for m in after}
    assert len(after) == 3
    # a later commit that does not change the image leaves its provenance as it is
    commit(both, "commit -qm second --allow-empty")
    states = pushed(both, "app", setting)
    assert (states[tag], states["app"]) == ("same", "moved")  # the index contains the revision
    # an entry whose manifest is gone from the registry is dropped
    lost = strange["digest"].removeprefix("sha256:")
    for link in registry.data.rglob(f"_manifests/revisions/sha256/{lost}/link"):
        link.unlink()
    assert pushed(both, "app", setting)[tag] == "moved"
    assert len(raw(registry, repo, f":{tag}")["manifests"]) == 2


def commit(project: Project, *commands: str) -> None:
    git = ["git", "-C", str(project.folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in commands:
        subprocess.run([*git, *words.split()], check=True, capture_output=True)


def test_a_board_that_is_left_out_keeps_its_tag_and_is_reported(
    both: Project, registry: Registry, repo: str
) -> None:
    both.built("app:here", "app:there", "app:board")
    setting = f"registry={registry.host}"
    pushed(both, "app", setting)
    before = raw_digest(registry, repo, ":app-board")
    both.write({"app/board": "another"})
    assert pushed(both, "app", setting)["app-board"] == "kept"
    assert raw_digest(registry, repo, ":app-board") == before


def raw_digest(registry: Registry, repo: str, name: str) -> str:
    command = ["skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}"]
    done = subprocess.run(
        [*command, f"docker://{registry.host}/{repo}{name}"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def put(registry: Registry, repo: str, tag: str, index: dict[str, Any]) -> None:
    """Set a tag to an index, as any client of the registry could."""
    import http.client

    host, port = registry.host.split(":")
    wire = http.client.HTTPConnection(host, int(port))
    kind = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    wire.request("PUT", f"/v2/{repo}/manifests/{tag}", json.dumps(index), kind)
    assert wire.getresponse().status == 201
    wire.close()


def test_an_image_that_cannot_be_published_is_an_error(both: Project, registry: Registry) -> None:
    both.built("app:here")
    for words, said in (
        (["app"], "no registry is set"),
        (["app", f"registry={registry.host}"], "app:there: is not in cache"),
        (["ap", f"registry={registry.host}"], "app"),
        (["app:here", f"registry={registry.host}"], "over all platforms"),
        ([f"registry={registry.host}"], "doit publish needs an image"),
        (["app", f"registry={registry.host}", "--version"], "--version needs a value"),
        (["app", "--verzion=1", f"registry={registry.host}"], "option --verzion not recognized"),
    ):
        run = both.doit("publish", *words)
        assert run.status == 10, words
        assert said in run.output
    both.built("app:there")
    run = both.doit("publish", "app", "registry=127.0.0.1:1")
    assert run.status == 22
    assert "registry does not answer" in run.output

"""A machine that has only ``cache/``, only the registry, or a damaged one of these."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard
from helpers import AMD64
from kit import NATIVE, Project, Registry, header, image_id

from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.keys.key import Key
from stagegraph.oci.documents import MANIFEST
from stagegraph.oci.platform import OciPlatform
from stagegraph.project.model import Node
from stagegraph.prune import registry as retention
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record, content_digests
from stagegraph.store.registry import RegistryStore

pytestmark = pytest.mark.engine

RUN = Path(__file__).parents[2] / "run"

STAGES = """
[stages.heavy]
path = "heavy"
[stages.light]
path = "light"
[images.light]
"""


@pytest.fixture
def chain(project: Project, repo: str) -> Project:
    """Stages heavy <- light. Only light is an image."""
    project.write(
        {
            "stages.toml": header(repo) + STAGES,
            "heavy/Dockerfile": "FROM scratch\nCOPY file /heavy\n",
            "heavy/file": "heavy\n",
            "light/Dockerfile": "FROM scratch\nCOPY --from=heavy /heavy /light\n",
        }
    )
    return project


@pytest.mark.parametrize(
    "name", ["spaces, and a comma", 'quo\'te "double" $HOME', "Ünï ☃", "-dash", "x" * 200, "a=b@c#e"]
)
def test_a_project_folder_may_have_any_name(chain: Project, tmp_path: Path, name: str) -> None:
    moved = chain.copy(tmp_path / name / "project")
    assert moved.built("light:here").built == {"heavy:here", "light:here"}
    assert not moved.built("light:here").built


def test_a_registry_works_with_a_colon_in_the_folder_name(
    chain: Project, tmp_path: Path, registry: Registry
) -> None:
    moved = chain.copy(tmp_path / "c:p@q" / "project")
    moved.env["STAGEGRAPH_REGISTRY"] = registry.host
    assert moved.built("light:here").built == {"heavy:here", "light:here"}
    shutil.rmtree(moved.folder / "cache")
    assert moved.built("light:here").nodes("pull") == {"light:here"}
    assert not (tmp_path / "c").exists()


def test_a_line_break_in_the_folder_name_is_an_error(chain: Project, tmp_path: Path) -> None:
    run = chain.copy(tmp_path / "a\nb").doit("light:here")
    assert run.status == 10 and "a line break" in run.output


def test_a_relative_path_in_the_environment_is_relative_to_the_project(chain: Project) -> None:
    """A relative path in the environment is relative to the project, for every program that runs."""
    chain.write({"ca.crt": "none", "heavy/Dockerfile": "FROM scratch\nCOPY file /heavy\n"})
    chain.env |= {"SSL_CERT_FILE": "ca.crt", "DOCKER_CONFIG": "docker"}
    chain.built("light:here")
    assert not (chain.folder / "cache/docker").exists()


def test_second_call_does_nothing(chain: Project, repo: str) -> None:
    first = chain.built("light:here")
    assert first.built == {"heavy:here", "light:here"}
    second = chain.built("light:here")
    assert second.nodes("reuse") == {"light:here"} and not second.built
    assert (
        second.last["images"]
        == {f"{repo}:light-here": image_id(f"{repo}:light-here")}
        == first.last["images"]
    )


def test_another_engine_gets_the_image_from_the_cache(
    chain: Project, repo: str, second_engine: dict[str, str]
) -> None:
    first = chain.built("light:here")
    other = Project(chain.folder, second_engine)
    run = other.built("light:here")
    assert not run.built and run.last["images"] == first.last["images"]
    listed = subprocess.run(
        ["docker", "images", "--format={{.Repository}}:{{.Tag}}"],
        env={**os.environ, **second_engine},
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == [f"{repo}:light-here"]


def test_another_engine_can_build_on_images_in_the_cache(
    chain: Project, second_engine: dict[str, str]
) -> None:
    chain.built("light:here")
    chain.write({"light/Dockerfile": "FROM scratch\nCOPY --from=heavy /heavy /other\n"})
    run = Project(chain.folder, second_engine).built("light:here")
    assert run.built == {"light:here"}


def test_only_the_final_image_is_pulled_from_the_registry(
    chain: Project, registry: Registry, repo: str
) -> None:
    """Nothing is built, and no ancestor of the image is pulled."""
    setting = f"registry={registry.host}"
    first = chain.built(setting, "light:here")
    shutil.rmtree(chain.folder / "cache")
    subprocess.run(["docker", "rmi", "-f", f"{repo}:light-here"], check=True, capture_output=True)
    before, taken = len(registry.manifests_read()), registry.blobs_read()
    run = chain.built(setting, "light:here")
    assert run.nodes("pull") == {"light:here"} and set(run.digests) == {"light:here"}
    assert run.last["images"] == first.last["images"]
    asked = registry.manifests_read()[before:]
    assert not [name for name in asked if name.startswith("heavy")]
    heavy = first.digests["heavy:here"]
    assert heavy not in asked
    # exactly the blobs of one image were pulled
    blobs = chain.folder / "cache/blobs/sha256"
    manifest = json.loads((blobs / first.digests["light:here"].removeprefix("sha256:")).read_text())
    image = {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    assert registry.blobs_read() - taken == image
    here = {f"sha256:{path.name}" for path in blobs.iterdir()}
    assert here >= image and heavy not in here


def test_the_final_tag_is_pushed_although_the_image_was_built_before(
    chain: Project, registry: Registry, repo: str
) -> None:
    """The final tag is pushed even if the image was built before a registry was set."""
    first = chain.built("light:here")
    chain.built(f"registry={registry.host}", "light:here")
    shutil.rmtree(chain.folder / "cache")
    plan = chain.doit("plan", f"registry={registry.host}", "light:here")
    assert plan.output.startswith("pull ")
    reference = f"docker://{registry.host}/{repo}:light-here"
    raw = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", reference], capture_output=True, text=True, check=True
    )
    assert json.loads(raw.stdout)["Digest"] == first.last["images"][f"{repo}:light-here"]


LAYER = "application/vnd.oci.image.layer.v1.tar"
ZSTD = {"annotations": {"io.github.containers.compression.zstd": "true"}}


def entries(registry: Registry, repo: str) -> dict[str, list[dict[str, object]]]:
    """Return the entries of a registry's records by node, without descriptor and platform."""
    found: dict[str, list[dict[str, object]]] = {}
    for tag in filter(retention.is_node_tag, registry.tags(repo)):
        index = registry.index(f"{repo}:{tag}")
        (entry,) = index["manifests"]
        for name in ("mediaType", "digest", "size", "platform"):
            del entry[name]
        found.setdefault(index["annotations"]["stagegraph.node"], []).append(entry)
    return found


def handmade(store: LayoutStore, kinds: tuple[str, ...]) -> Record:
    """An image with these compressions of layers, recorded in a store."""
    pack: dict[str, Callable[[bytes], bytes]]
    pack = {"": bytes, "+gzip": gzip.compress, "+zstd": zstandard.compress}
    layers, contents = [], []
    for number, kind in enumerate(kinds):
        content = str((number, *kinds)).encode()
        digest, size = store.blobs.add(pack[kind](content))
        layers.append({"mediaType": f"{LAYER}{kind}", "digest": digest, "size": size})
        contents.append(f"sha256:{hashlib.sha256(content).hexdigest()}")
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": contents}}
    digest, size = store.blobs.add(json.dumps(config).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size},
        "layers": layers,
    }
    digest, size = store.blobs.add(json.dumps(manifest).encode())
    files, whole = content_digests(config)
    inputs = (Input("schema", "", repr(kinds)),)
    made = Record(
        key=keys.digest(inputs),
        node="made:here",
        docker=AMD64,
        digest=digest,
        size=size,
        files=files,
        image=whole,
        seconds=1.0,
        created="",
        inputs=inputs,
    )
    store.commit(made)
    return made


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        (("+zstd",), True),
        (("+gzip", "+zstd"), True),
        (("", "+zstd"), True),
        (("+gzip",), False),
        (("", "+gzip"), False),
        ((), False),
    ],
)
def test_images_of_any_compression_can_be_pushed_and_pulled(
    tmp_path: Path, registry: Registry, kinds: tuple[str, ...], says: bool
) -> None:
    """Images of any compression can be pushed and pulled.

    skopeo 1.14 to 1.22 copies an index only if an annotation marks its images in zstd, and no other images.
    """
    node, said = Node("made", "here"), list[str]()
    store, other = LayoutStore(tmp_path / "one"), LayoutStore(tmp_path / "other")
    made = handmade(store, kinds)
    there = RegistryStore(f"{registry.host}/made", store, said.append)
    there.pushes.push_built(node, made)
    assert not there.pushes.flush(said.append) and not said[1:], said
    assert entries(registry, "made") == {"made:here": [ZSTD if says else {}]}
    here = RegistryStore(f"{registry.host}/made", other, said.append)
    found = here.find(node, made.docker, made.key)
    assert found == made and here.pull(node, found) and other.find(made.key) == made


def test_older_records_without_the_annotation_for_zstd_are_found_and_pulled(
    chain: Project, registry: Registry, repo: str
) -> None:
    """Older records are found and pulled. If the image is pushed again, they get the present form."""
    setting = f"registry={registry.host}"
    first = chain.built(setting, "light:here")
    for tag in filter(retention.is_node_tag, registry.tags(repo)):
        index = registry.index(f"{repo}:{tag}")
        assert index["manifests"][0].pop("annotations") == ZSTD["annotations"]
        registry.put_index(f"{repo}:{tag}", index)
    assert {} in entries(registry, repo)["light:here"]
    for record in (chain.folder / "cache/records").iterdir():
        index = json.loads(record.read_text())
        del index["manifests"][0]["annotations"]
        record.write_text(json.dumps(index))
    shutil.copytree(chain.folder / "cache", chain.folder.parent / "old")

    shutil.rmtree(chain.folder / "cache")
    run = chain.built(setting, "light:here")
    assert run.nodes("pull") == {"light:here"} and run.last["images"] == first.last["images"]

    # a cache/ of the same time, and an empty registry
    shutil.rmtree(chain.folder / "cache")
    (chain.folder.parent / "old").rename(chain.folder / "cache")
    shutil.rmtree(registry.data / "docker/registry/v2/repositories" / repo)
    run = chain.built("push=all", setting, "light:here")
    assert not run.built and not run.nodes("pull")
    assert entries(registry, repo)["light:here"] == [ZSTD] * 2


def test_a_tag_with_the_record_of_another_key_is_ignored(
    chain: Project, registry: Registry, repo: str
) -> None:
    setting = f"registry={registry.host}"
    first = chain.built(setting, "light:here")
    keys = json.loads(chain.doit("keys", "--json").output)
    names = registry.tags(repo)
    wanted = next(n for n in names if n.endswith(keys["light:here"].removeprefix("sha256:")))
    other = next(n for n in names if n.endswith(keys["heavy:here"].removeprefix("sha256:")))
    base = f"docker://{registry.host}/{repo}"
    copy = ["skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"{base}:{other}", f"{base}:{wanted}"], check=True, capture_output=True)
    shutil.rmtree(chain.folder / "cache")
    run = chain.built(setting, "light:here")
    # the content key still finds the image, once its parent is there
    assert run.nodes("pull") == {"heavy:here", "light:here"}
    assert run.last["images"] == first.last["images"]


@pytest.mark.parametrize("damage", ["truncated", "missing", "swapped"])
def test_a_damaged_blob_is_replaced(chain: Project, damage: str, repo: str) -> None:
    """A damaged blob is set aside, and its image is built again."""
    first = chain.built("light:here")
    subprocess.run(["docker", "rmi", "-f", f"{repo}:light-here"], check=True, capture_output=True)
    blobs = chain.folder / "cache/blobs/sha256"
    manifest = json.loads((blobs / first.digests["light:here"].removeprefix("sha256:")).read_text())
    layer = blobs / manifest["layers"][0]["digest"].removeprefix("sha256:")
    data = layer.read_bytes()
    layer.unlink()
    if damage != "missing":
        layer.write_bytes(data[:-1] if damage == "truncated" else bytes(len(data)))
    run = chain.built("light:here")
    assert run.built == {"light:here"}
    assert run.last["images"] == first.last["images"] and layer.read_bytes() == data


@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("length", [0, 20])
def test_all_nodes_are_built_if_all_blobs_are_truncated(chain: Project, records: bool, length: int) -> None:
    """Cut-off blobs, as after a crash or a broken restore, are written again.

    A builder that writes a blob would otherwise keep the existing file.
    """
    chain.built("light:here")
    cache = chain.folder / "cache"
    for path in (cache / "blobs/sha256").iterdir():
        path.chmod(0o644)
        os.truncate(path, min(length, path.stat().st_size - 1))
    if not records:
        for name in ("records", "latest"):
            shutil.rmtree(cache / name)
    run = chain.built("light:here")
    assert "light:here" in run.built
    assert chain.doit("verify", "light:here").status == 0
    assert not chain.built("light:here").built


def test_images_of_a_damaged_cache_are_pulled_from_the_registry(
    chain: Project, registry: Registry, repo: str
) -> None:
    setting = f"registry={registry.host}"
    first = chain.built(setting, "light:here")
    subprocess.run(["docker", "rmi", "-f", f"{repo}:light-here"], check=True, capture_output=True)
    for path in (chain.folder / "cache/blobs/sha256").iterdir():
        path.chmod(0o644)
        path.write_bytes(b"")
    run = chain.built(setting, "light:here")
    assert run.nodes("pull") == {"light:here"} and run.last["images"] == first.last["images"]


def test_an_image_whose_blob_the_registry_lost_is_built_and_pushed_again(
    chain: Project, registry: Registry
) -> None:
    """A lost blob is reported; the image that cannot be pulled is built and pushed again."""
    setting = f"registry={registry.host}"
    first = chain.built(setting, "light:here")
    blobs = chain.folder / "cache/blobs/sha256"
    manifest = json.loads((blobs / first.digests["light:here"].removeprefix("sha256:")).read_text())
    layer = manifest["layers"][0]["digest"].removeprefix("sha256:")
    shutil.rmtree(chain.folder / "cache")
    (registry.data / f"docker/registry/v2/blobs/sha256/{layer[:2]}/{layer}/data").unlink()
    run = chain.built(setting, "light:here")
    assert run.built == {"light:here"} and run.nodes("pull") == {"heavy:here"}
    assert "could not be pulled" in run.output and run.last["images"] == first.last["images"]


def test_a_manifest_that_the_cache_has_is_not_written_again(chain: Project, registry: Registry) -> None:
    """If a manifest is pulled under another key, its file is not written again.

    A process that reads it at the same time must not see half of it.
    """
    setting = f"registry={registry.host}"
    chain.built(setting, "light:here")
    blobs = chain.folder / "cache/blobs/sha256"
    before = {path.name: path.stat().st_mtime_ns for path in blobs.iterdir()}
    shutil.rmtree(chain.folder / "cache/records")
    assert chain.built(setting, "light:here").nodes("pull") == {"light:here"}
    assert {path.name: path.stat().st_mtime_ns for path in blobs.iterdir()}.items() >= before.items()


def test_a_registry_that_is_down_gives_one_warning(chain: Project) -> None:
    run = chain.built("registry=127.0.0.1:1", "light:here")
    assert run.built == {"heavy:here", "light:here"}
    assert run.output.count("continuing without the registry") == 1


def test_two_processes_build_a_node_once(chain: Project, program: Path) -> None:
    shutil.copytree(program, chain.folder / "heavy/program")
    chain.write({"heavy/Dockerfile": 'FROM scratch\nCOPY file program /\nRUN ["/program", "sleep", "3"]\n'})
    chain.write({"light/Dockerfile": "FROM scratch\nCOPY --from=heavy /file /light\n"})
    one, two = chain.start("heavy:here"), chain.start("heavy:here")
    outputs = [process.communicate(timeout=120)[0] for process in (one, two)]
    assert one.returncode == two.returncode == 0, outputs
    assert sorted("1 built" in output for output in outputs) == [False, True], outputs


def test_two_processes_build_two_nodes_at_once(chain: Project, program: Path) -> None:
    """Neither process deletes the other's files as leftovers, and no entry of the index is lost."""
    shutil.copytree(program, chain.folder / "heavy/program")
    words = f'"/program", "sleep", "3", "{chain.folder}"'
    chain.write({"heavy/Dockerfile": f"FROM scratch\nCOPY file program /\nRUN [{words}]\n"})
    chain.write({"light/Dockerfile": "FROM scratch\nCOPY file /\n", "light/file": "l\n"})
    slow = chain.start("heavy:here")
    views = chain.folder / "cache/tmp"
    while not (views.is_dir() and any(views.iterdir())):
        assert slow.poll() is None
        time.sleep(0.01)
    quick = chain.built("light:here")
    assert quick.built == {"light:here"} and slow.poll() is None
    output = slow.communicate(timeout=120)[0]
    assert slow.returncode == 0 and "1 built" in output and "once more" not in output, output
    records = list((chain.folder / "cache/records").iterdir())
    index = json.loads((chain.folder / "cache/index.json").read_text())
    assert len(index["manifests"]) == len(records) == 4  # each has a recipe key and a content key


def test_an_image_without_layers_is_complete(chain: Project, repo: str) -> None:
    """An image without layers is complete, and its child sees a change of its labels."""
    chain.write(
        {"heavy/Dockerfile": "FROM scratch\nLABEL a=1\n", "light/Dockerfile": "FROM heavy\nLABEL b=1\n"}
    )
    assert chain.built("light:here").built == {"heavy:here", "light:here"}
    assert not chain.built("light:here").built
    chain.write({"heavy/Dockerfile": "FROM scratch\nLABEL a=2\n"})
    assert chain.built("light:here").built == {"heavy:here", "light:here"}
    assert image_id(f"{repo}:light-here")


def test_a_record_whose_contents_do_not_match_its_image_is_ignored(chain: Project) -> None:
    """The contents in a record are checked, because early cutoff depends on what a child can see."""
    first = chain.built("light:here")
    for path in (chain.folder / "cache/records").iterdir():
        record = json.loads(path.read_text())
        record["annotations"]["stagegraph.files"] = "sha256:" + "0" * 64
        path.write_text(json.dumps(record))
    run = chain.built("light:here")
    assert run.built == {"heavy:here", "light:here"} and run.last["images"] == first.last["images"]


@dataclass
class Contract:
    """A store in the view of the contract test. None: the store does not offer it."""

    find: Callable[[Key], Record | None]
    put: Callable[[Record], object]
    list: Callable[[], Iterator[Record]] | None = None
    delete: Callable[[Key], object] | None = None


@pytest.fixture(params=["layout", "registry"])
def contract(request: pytest.FixtureRequest, tmp_path: Path, chain: Project, registry: Registry) -> Contract:
    """An empty store, and next to it a built project."""
    layout = LayoutStore(chain.folder / "cache")
    if request.param == "layout":
        other = LayoutStore(tmp_path / "other")

        def put(record: Record) -> None:
            shutil.copytree(layout.blobs.folder.path, other.blobs.folder.path, dirs_exist_ok=True)
            other.commit(record)

        return Contract(other.find, put, other.list, other.delete)
    node, warnings = Node("light", "here"), list[str]()
    remote = RegistryStore(f"{registry.host}/contract", layout, warnings.append)

    def find(key: Key) -> Record | None:
        found = remote.find(node, OciPlatform(NATIVE), key)
        assert not warnings
        return found

    return Contract(find, lambda record: remote.pushes.push_built(node, record))


def test_every_store_keeps_the_contract(chain: Project, contract: Contract) -> None:
    chain.built("light:here")
    records = {record.key: record for record in LayoutStore(chain.folder / "cache").list()}
    one, two, *_ = (record for record in records.values() if record.node == "light:here")
    assert contract.find(one.key) is None
    contract.put(one)
    assert contract.find(one.key) == one and contract.find(two.key) is None
    contract.put(two)
    contract.put(one)  # harmless
    assert contract.find(one.key) == one and contract.find(two.key) == two
    if contract.list is not None:
        assert {record.key: record for record in contract.list()} == {one.key: one, two.key: two}
    if contract.delete is not None:
        contract.delete(one.key)
        contract.delete(one.key)  # harmless
        assert contract.find(one.key) is None and contract.find(two.key) == two

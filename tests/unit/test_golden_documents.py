"""OCI documents, byte for byte. Stores and registries find them by digest, so no byte may ever change."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from helpers import AMD64, ARM_V7, image

from stagegraph.build import command
from stagegraph.keys import inputs as keys
from stagegraph.keys.inputs import Input
from stagegraph.oci.digest import Digest
from stagegraph.project.model import Node
from stagegraph.publish import publication, referrers
from stagegraph.store import export
from stagegraph.store.layout import LayoutStore
from stagegraph.store.record import Record
from stagegraph.store.views import shared_view

pytestmark = pytest.mark.unit

INPUTS = (
    Input("schema", "", "1"),
    Input("file", "ä\n", "file 0", "x/f"),
    Input("parent", "0", "d", "x:1", "b"),
)


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    return LayoutStore(tmp_path / "cache")


def full_record() -> Record:
    """Return a record in which every field has a value."""
    return Record(
        key=keys.digest(INPUTS),
        node="blas:rpi",
        docker=ARM_V7,
        digest=Digest("sha256:" + "1" * 64),
        size=7,
        files=Digest("sha256:" + "2" * 64),
        image=Digest("sha256:" + "3" * 64),
        seconds=1.25,
        created="2025-01-31T00:00:00+00:00",
        inputs=INPUTS,
        packages=("adduser:all=1:3.152",),
        materials=("base:rpi=sha256:" + "4" * 64,),
        cached=True,
        machine=AMD64,
        recorded="2026-01-01T00:00:00+00:00",
        builder="buildkit v0.29.0",
    )


def blob_text(store: LayoutStore, digest: Digest) -> str:
    with store.blobs.open(digest) as file:
        return file.read().decode()


def test_a_record() -> None:
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}
    assert full_record().to_bytes({"layers": [layer]}).decode() == RECORD


def test_the_index_of_the_store(store: LayoutStore) -> None:
    record = image(store)
    store.commit(record)
    assert (store.root / "index.json").read_text() == STORE_INDEX
    assert (store.root / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    with shared_view(store, [record.descriptor]) as view:
        assert (view / "index.json").read_text() == VIEW_INDEX
        assert (view / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'


def test_a_parent_for_two_platforms(store: LayoutStore) -> None:
    record = image(store)
    digest = command._add_index(store, {ARM_V7: record, AMD64: record})
    assert blob_text(store, digest) == PARENT_INDEX


def test_the_tar_for_an_engine(store: LayoutStore) -> None:
    archive = BytesIO(b"".join(export.image_tar(store, image(store), "atom:stock")))
    with tarfile.open(fileobj=archive) as tar:
        texts = {name: tar.extractfile(name) for name in ("oci-layout", "index.json")}
        assert [file.read().decode() for file in texts.values() if file] == [
            '{"imageLayoutVersion":"1.0.0"}',
            TAR_INDEX,
        ]


def test_the_index_of_a_published_image(store: LayoutStore) -> None:
    record = image(store)
    member = publication.PlatformImage(Node("blas", "amd64"), record, "blas-amd64", listed=True)
    notes = {"org.opencontainers.image.title": "blas", "org.opencontainers.image.created": "2025"}
    published = publication.Publication("blas", "blas", (member,), notes)
    assert publication.index_document(store, published).decode() == PUBLISHED_INDEX


def test_an_artifact_about_an_image(store: LayoutStore) -> None:
    statement = referrers.Statement("sbom", "application/x", b"{}")
    entry = referrers.artifact(store, full_record(), statement, "c0ffee")
    assert json.dumps(entry) == ARTIFACT_ENTRY
    assert blob_text(store, entry["digest"]) == ARTIFACT


RECORD = (
    '{"annotations":{"stagegraph.below":"[\\"base:rpi=sha256:44444444444444444'
    '44444444444444444444444444444444444444444444444\\"]","stagegraph.builder"'
    ':"buildkit v0.29.0","stagegraph.cached":"1","stagegraph.created":"2025-0'
    '1-31T00:00:00+00:00","stagegraph.files":"sha256:222222222222222222222222'
    '2222222222222222222222222222222222222222","stagegraph.image":"sha256:333'
    '3333333333333333333333333333333333333333333333333333333333333","stagegra'
    'ph.inputs":"[[\\"schema\\",\\"\\",\\"1\\",\\"\\"],[\\"file\\",\\"\\\\u00e4\\\\n\\",\\"fil'
    'e 0\\",\\"x/f\\"],[\\"parent\\",\\"0\\",\\"d\\",\\"x:1\\",\\"b\\"]]","stagegraph.key"'
    ':"sha256:14339902ffcd33854b1d99a9c015b875ff69c8af17f711ea5a891d70611f0ce'
    '2","stagegraph.machine":"linux/amd64","stagegraph.node":"blas:rpi","stag'
    'egraph.recorded":"2026-01-01T00:00:00+00:00","stagegraph.schema":"1","st'
    'agegraph.seconds":"1.2","stagegraph.versions":"[\\"adduser:all=1:3.152\\"]'
    '"},"manifests":[{"annotations":{"io.github.containers.compression.zstd":'
    '"true"},"digest":"sha256:11111111111111111111111111111111111111111111111'
    '11111111111111111","mediaType":"application/vnd.oci.image.manifest.v1+js'
    'on","platform":{"architecture":"arm","os":"linux","variant":"v7"},"size"'
    ':7}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersio'
    'n":2}'
)

STORE_INDEX = (
    "{\n"
    ' "schemaVersion": 2,\n'
    ' "mediaType": "application/vnd.oci.image.index.v1+json",\n'
    ' "manifests": [\n'
    "  {\n"
    '   "mediaType": "application/vnd.oci.image.manifest.v1+json",\n'
    '   "digest": "sha256:fcce44372ef45614ca1a66a9b53910730ef969979774dd67b0d'
    '84e761af40657",\n'
    '   "size": 377,\n'
    '   "annotations": {\n'
    '    "org.opencontainers.image.ref.name": "blas-amd64-412d102e5d8b5d159ff'
    '02cd9f20bbba490c30b228a6cdd1f281498dfc929e062"\n'
    "   }\n"
    "  }\n"
    " ]\n"
    "}"
)

VIEW_INDEX = (
    '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+js'
    'on", "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+'
    'json", "digest": "sha256:fcce44372ef45614ca1a66a9b53910730ef969979774dd6'
    '7b0d84e761af40657", "size": 377}]}'
)

PARENT_INDEX = (
    '{"manifests": [{"digest": "sha256:fcce44372ef45614ca1a66a9b53910730ef969'
    '979774dd67b0d84e761af40657", "mediaType": "application/vnd.oci.image.man'
    'ifest.v1+json", "platform": {"architecture": "amd64", "os": "linux"}, "s'
    'ize": 377}, {"digest": "sha256:fcce44372ef45614ca1a66a9b53910730ef969979'
    '774dd67b0d84e761af40657", "mediaType": "application/vnd.oci.image.manife'
    'st.v1+json", "platform": {"architecture": "arm", "os": "linux", "variant'
    '": "v7"}, "size": 377}], "mediaType": "application/vnd.oci.image.index.v'
    '1+json", "schemaVersion": 2}'
)

TAR_INDEX = (
    '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+js'
    'on", "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+'
    'json", "digest": "sha256:fcce44372ef45614ca1a66a9b53910730ef969979774dd6'
    '7b0d84e761af40657", "size": 377, "annotations": {"io.containerd.image.na'
    'me": "docker.io/library/atom:stock", "org.opencontainers.image.ref.name"'
    ': "stock"}}]}'
)

PUBLISHED_INDEX = (
    '{"annotations":{"org.opencontainers.image.created":"2025","org.openconta'
    'iners.image.title":"blas"},"manifests":[{"digest":"sha256:fcce44372ef456'
    '14ca1a66a9b53910730ef969979774dd67b0d84e761af40657","mediaType":"applica'
    'tion/vnd.oci.image.manifest.v1+json","platform":{"architecture":"amd64",'
    '"os":"linux"},"size":377}],"mediaType":"application/vnd.oci.image.index.'
    'v1+json","schemaVersion":2}'
)

ARTIFACT_ENTRY = (
    '{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "s'
    'ha256:605a99e1bebedb78385afa2d1a9104bf7263deee3a210579b960382bb12851d8",'
    ' "size": 690, "artifactType": "application/x", "annotations": {"org.open'
    'containers.image.created": "2025-01-31T00:00:00+00:00", "stagegraph.stat'
    'ement": "sbom", "stagegraph.commit": "c0ffee"}}'
)

ARTIFACT = (
    '{"annotations":{"org.opencontainers.image.created":"2025-01-31T00:00:00+'
    '00:00","stagegraph.commit":"c0ffee","stagegraph.statement":"sbom"},"arti'
    'factType":"application/x","config":{"digest":"sha256:44136fa355b3678a114'
    '6ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/'
    'vnd.oci.empty.v1+json","size":2},"layers":[{"digest":"sha256:44136fa355b'
    '3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"appl'
    'ication/x","size":2}],"mediaType":"application/vnd.oci.image.manifest.v1'
    '+json","schemaVersion":2,"subject":{"digest":"sha256:1111111111111111111'
    '111111111111111111111111111111111111111111111","mediaType":"application/'
    'vnd.oci.image.manifest.v1+json","size":7}}'
)

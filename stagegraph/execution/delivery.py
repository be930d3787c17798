"""Finished images of one run: loaded into the engine under their final tags, and pushed to the registry.

Commands whose output is part of a tag run here, before any tag of the image is set.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..docker import engine
from ..errors import StagegraphError, StoreError, TestError
from ..project.tags import is_known
from ..store import export, images
from .decide import Found, Have, Why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..project.model import Node, PrintCommand, Project
    from ..store.record import Record
    from ..store.registry import RegistryStore
    from .final_tags import FinalTags
    from .nodes import NodeRunner
    from .sharing import Sharing


class Delivery:
    """Delivers the images of a run, and waits for its pushes."""

    def __init__(self, nodes: NodeRunner, tags: FinalTags) -> None:
        self.tags = tags
        self.nodes, self.report, self.sharing = nodes, nodes.report, nodes.sharing
        self.graph, self.layout, self.registry = nodes.graph, nodes.layout, nodes.registry

    def is_delivered(self, image: str, node: Node) -> bool:
        """Return whether the image passed its test, and engine and registry have it under its final tags.

        Raises ``ProjectError`` for a tag that is not valid, or that another image has.
        """
        project, results = self.graph.project, self.nodes.results
        test = project.test(image, node.platform)
        if self.nodes.is_open(node) or (test and not self.nodes.test_passed(test)):
            return False
        record = self.layout.find(self.graph.key(node), node.stage)
        if record is None:
            return False
        references = self.tags.of_run(image, node.platform, record.digest)
        if not all(map(is_known, references)):
            return False
        self.tags.claim(image, node.platform, references)
        ids = export.image_ids(self.layout, record)
        if not all(engine.has(reference, ids) for reference in references):
            return False
        if self.registry:
            remote = map(self._remote, references)
            if not all(self.registry.has_image(record, reference) for reference in remote):
                return False
        if node in results.records:
            self.nodes.share(node, record)
        else:
            self.nodes.reuse(node, Have(Found(record, "cache", node), Why.SAME_KEY))
        self._report(references, record)
        return True

    def deliver(self, image: str, node: Node) -> None:
        """Load the image into the engine under its final tags, and push it if a registry is set.

        Raises ``TestError`` if its test has not passed: with ``--continue`` doit calls this all the same.
        Raises ``ProjectError`` for a tag that is not valid, or that another image has.
        """
        record = self.nodes.results.record(node)
        project = self.graph.project
        if (test := project.test(image, node.platform)) and not self.nodes.test_passed(test):
            raise TestError(str(test), f"has not passed, so {image} gets no tag", "see its own error")
        if commands := self.tags.commands_to_run(image, node.platform, record.digest):
            with self.temporarily_loaded(node) as (loaded, _):
                self._print(node, record, commands, loaded)
                references = self._set_tags(image, node, record, loaded)
        else:
            references = self._set_tags(image, node, record)
        self._report(references, record)
        self.report.rest(node)
        if self.registry:
            self.registry.pushes.push_final(node, record, *map(self._remote, references))

    def record_outputs(self, image: str, node: Node, record: Record) -> None:
        """Run the commands that the tags of a published image need, unless their outputs are recorded.

        Raises ``ProjectError`` for a command that fails.
        """
        if commands := self.tags.commands_to_run(image, node.platform, record.digest, published=True):
            with self.temporarily_loaded(node) as (loaded, _):
                self._print(node, record, commands, loaded)

    @contextmanager
    def temporarily_loaded(self, node: Node) -> Iterator[tuple[str, Record]]:
        """Load a node's image into the engine under a tag of its own, which is removed afterwards.

        Each call has another tag: two images of one node may be delivered at the same time.
        Yields the tag and the record. Raises ``StoreError`` if ``cache/`` does not have the image.
        """
        record = self.layout.find(self.graph.key(node), node.stage)
        if record is None:
            raise StoreError(str(node), "its image is not in cache/", f"build it first: doit {node}")
        tag = temporary_tag(self.graph.project, node)
        self._load(node, record, tag)
        try:
            yield tag, record
        finally:
            engine.untag(tag)

    # -- pushes ----------------------------------------------------------------------------------

    def wait_for_pushes(self) -> list[tuple[Node, StagegraphError]]:
        """Wait for the pushes of this run. Return the images that did not reach the registry, and why."""
        if self.registry is None:
            return []
        if self.sharing and not self.registry.availability.write_error:
            self._share_all(self.sharing, self.registry)
        return self.registry.pushes.flush(self.report.note)

    @property
    def pending_pushes(self) -> int:
        """The number of pushes that are not done."""
        return self.registry.pushes.pending if self.registry else 0

    def _share_all(self, sharing: Sharing, registry: RegistryStore) -> None:
        """Offer all ancestors of this run's nodes, and name those that no store has."""
        results = self.nodes.results
        try:
            lost = sharing.offer_all([*results.records, *results.passed_tests])
        except StagegraphError as error:
            self.report.warn(f"push=all: some images are not pushed: {error}")
            return
        if lost and registry.availability.read_error is None:
            names = ", ".join(map(str, lost))
            what = "whoever changes a stage that is based on them builds them again"
            self.report.note(f"   push=all: neither cache/ nor the registry has {names}; {what}")

    # -- engine ----------------------------------------------------------------------------------

    def _print(self, node: Node, record: Record, commands: Sequence[PrintCommand], loaded: str) -> None:
        """Run commands in the image, which is loaded under a tag, and record what they print."""
        from . import printing  # most images have no such commands

        docker = self.graph.project.platforms[node.platform].docker
        for command in commands:
            self.report.step(node, f"asking the image for prints.{command.name}")
            output = printing.output(loaded, node, docker, command)
            self.layout.outputs.write(record.digest, command.command, output)

    def _set_tags(self, image: str, node: Node, record: Record, loaded: str = "") -> list[str]:
        """Set the final tags of an image in the engine, and return them.

        ``loaded`` is a tag under which the engine has the image, "" if it has to be loaded.
        """
        references = self.tags.of_run(image, node.platform, record.digest)
        self.tags.claim(image, node.platform, references)
        ids = export.image_ids(self.layout, record)
        there = [reference for reference in references if engine.has(reference, ids)]
        loaded = loaded or next(iter(there), "")
        for reference in references:
            if reference in there:
                continue
            if engine.remove_unreadable(reference):
                self.report.warn(f"{reference}: the engine could not read its own image; it is removed")
            if loaded:
                engine.tag(loaded, reference, ids)
            else:
                self.report.step(node, f"loading {reference} into the engine")
                self._load(node, record, reference)
                loaded = reference
        return references

    def _report(self, references: Sequence[str], record: Record) -> None:
        size = images.layers_size(self.layout.blobs, record)
        for reference in references:
            self.report.image(reference, record, size)

    def _load(self, node: Node, record: Record, tag: str) -> None:
        image = export.image_tar(self.layout, record, tag)
        with self.report.span("load", node, tag):
            engine.load(image, export.image_ids(self.layout, record), tag)

    def _remote(self, tag: str) -> str:
        return f"{self.graph.project.settings.registry}/{tag}"


def temporary_tag(project: Project, node: Node) -> str:
    """Return a new tag for an image that the engine has only for a while."""
    return f"{project.settings.repo}:temporary-{node.stage}-{node.platform}-{uuid.uuid4().hex[:8]}"

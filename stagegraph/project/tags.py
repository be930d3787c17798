"""The rules for tags of images. There are four kinds, and this module decides the first two.

- The final tags of an image in a run: ``REPO:TAG``, by default ``REPO:IMAGE-PLATFORM``.
- The tags of ``doit publish``: those of each platform, and those of the index over all platforms.
- The tag of a node's record in a registry: ``STAGE-ARCHITECTURE-DIGITS`` (``store.record.tag``).
- The tag of a list of referrers (``publish.referrers``).

A tag is declared as a text with placeholders: ``{version}-{arch}``. A placeholder that is not known yet
stays as it is. Pure: what git and the images themselves say is given.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ProjectError, nearest
from ..oci.reference import familiar
from .model import TIME_OF_COMMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .model import Image, Node, Project

#: The tags of an image that declares none of this kind.
PLATFORM_TAG, INDEX_TAG = "{image}-{platform}", "{image}"

#: The value of ``version`` under ``[project]`` that means: as git describes the commit.
FROM_GIT = "git"

#: A tag, as the OCI distribution specification writes it ("Pulling manifests").
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
TAG_HINT = "letters, digits, '_', '.' and '-', at most 128"

_PART = re.compile(r"[\w.-]*", re.ASCII)

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")

#: A tag with one of these placeholders is a tag of a platform. Every other one is a tag of the index.
_OF_PLATFORM = frozenset(("platform", "arch"))

#: The placeholders that git fills, besides ``version`` with ``FROM_GIT``.
_OF_GIT = frozenset(("revision", "commit_date"))

#: The placeholders of every image. ``ARGS`` and ``PRINTS`` begin those of its arguments and commands.
PLACEHOLDERS = ("image", "version", "epoch_date", *sorted(_OF_PLATFORM | _OF_GIT))
ARGS, PRINTS = "args.", "prints."


class FinalTag(NamedTuple):
    """A tag of an image on a platform; of the index over all platforms if ``platform`` is ""."""

    image: Image
    platform: str
    tag: str

    @property
    def owner(self) -> str:
        return f"{self.image.name}:{self.platform}" if self.platform else f"the index of {self.image.name}"


# -- texts with placeholders ---------------------------------------------------------------------


def placeholders(text: str) -> list[str]:
    """Return the placeholders of a tag: ``["version", "arch"]``."""
    return _PLACEHOLDER.findall(text)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a tag with the values of its placeholders. A placeholder without a value stays."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), text)


def is_known(tag: str) -> bool:
    """Return True if a tag or a reference has no placeholder that is left."""
    return "{" not in tag


def without_placeholders(text: str) -> str:
    """Return a tag without its placeholders."""
    return _PLACEHOLDER.sub("", text)


def needs_git(project: Project, image: Image) -> bool:
    """Return True if a tag of an image needs to know what git says."""
    asked = _OF_GIT | {"version"} if project.version == FROM_GIT else _OF_GIT
    return any(not asked.isdisjoint(placeholders(tag)) for tag in image.tags)


def needs_tags_of_git(project: Project) -> bool:
    """Return True if a tag of an image has a version that git derives from its own tags."""
    texts = (text for image in project.images.values() for text in image.tags)
    return project.version == FROM_GIT and any("version" in placeholders(text) for text in texts)


def prints_in_run(project: Project, node: Node) -> bool:
    """Return True if a run needs what commands print in the image of a node, for a tag."""
    texts = (text for image in project.images_of(node) for text in of_run(image, project.settings.tag))
    return any(placeholder.startswith(PRINTS) for text in texts for placeholder in placeholders(text))


# -- the tags of one image -----------------------------------------------------------------------


def of_platforms(image: Image, setting: str = "") -> tuple[str, ...]:
    """Return the tags that each platform of an image gets when it is published.

    ``setting`` is the setting ``tag``. An image with one platform needs none if it has tags of the index.
    """
    if setting:
        return (f"{setting}-{{platform}}",)
    own = tuple(tag for tag in image.tags if _OF_PLATFORM & {*placeholders(tag)})
    return own or (() if image.tags and len(image.platforms) == 1 else (PLATFORM_TAG,))


def of_index(image: Image, setting: str = "") -> tuple[str, ...]:
    """Return the tags of the index over all platforms of an image. ``setting`` is the setting ``tag``."""
    if setting:
        return (setting,)
    return tuple(tag for tag in image.tags if not _OF_PLATFORM & {*placeholders(tag)}) or (INDEX_TAG,)


def of_run(image: Image, setting: str = "") -> tuple[str, ...]:
    """Return the tags that a run sets for an image on a platform. ``setting`` is the setting ``tag``.

    An image with one platform gets all of its tags: nothing else could be meant by them.
    """
    if setting:
        return (setting,)
    return image.tags if image.tags and len(image.platforms) == 1 else of_platforms(image)


def listed_platforms(project: Project, image: Image) -> list[str]:
    """Return the platforms of an image that are in its index: the first one for each OCI platform."""
    first = {project.platforms[platform].docker: platform for platform in reversed(image.platforms)}
    return [platform for platform in image.platforms if platform in first.values()]


def repository(project: Project, image: Image) -> str:
    """Return the repository of an image's final tags."""
    return image.repo or project.settings.repo


def values(project: Project, image: Image, platform: str) -> dict[str, str]:
    """Return the values of the placeholders that ``stages.toml`` and the settings give, on a platform."""
    given = {"image": image.name, "platform": platform, "arch": project.platforms[platform].arch}
    if project.epoch >= 0:  # otherwise it is not known yet
        day = datetime.datetime.fromtimestamp(project.epoch, datetime.UTC).date()
        given["epoch_date"] = day.isoformat()
    if project.version not in ("", FROM_GIT):
        given["version"] = project.version
    config = project.stages[image.stage].configs[platform]
    return given | {ARGS + name: value for name, value in config.args.items()}


def index_tag(image: Image, text: str, by_platform: Mapping[str, Mapping[str, str]]) -> str:
    """Return a tag of an index. ``by_platform`` has the values of the platforms in the index.

    Raises ``ProjectError`` if a placeholder has not the same value on all of them.
    """
    found = {platform: expand(text, known) for platform, known in by_platform.items()}
    tags = {tag for tag in found.values() if is_known(tag)}
    if len(tags) > 1:
        listed = ", ".join(f"{tag} for {platform}" for platform, tag in found.items())
        what = f"image {image.name}: the tag {text!r} is for all platforms, but would be {listed}"
        raise ProjectError(image.tags_at, what, "add {platform} to it: each platform then gets its own")
    unknown = [tag for tag in found.values() if not is_known(tag)]
    return (unknown or [*tags])[0]


def checked(image: Image, tag: str) -> str:
    """Return a tag. Raises ``ProjectError`` if it has no placeholder that is left and is not valid."""
    if is_known(tag) and not TAG.fullmatch(tag):
        raise ProjectError(image.tags_at, f"image {image.name}: {tag!r} is not a tag", TAG_HINT)
    return tag


def final(project: Project, image: Image, more: Mapping[str, str] | None = None) -> Iterator[FinalTag]:
    """The tags of an image, without those that cannot be known yet; the setting ``tag`` does not count.

    ``more`` has values from git. Raises ``ProjectError`` for a tag that is not valid.
    """
    if not image.tags:  # without a look at any placeholder: each start does this for all images
        yield FinalTag(image, "", image.name)
        yield from (FinalTag(image, platform, f"{image.name}-{platform}") for platform in image.platforms)
        return
    given = {p: {**values(project, image, p), **(more or {})} for p in image.platforms}
    listed = {platform: given[platform] for platform in listed_platforms(project, image)}
    found = [("", index_tag(image, text, listed)) for text in of_index(image)]
    found += [(p, expand(text, given[p])) for text in of_platforms(image) for p in image.platforms]
    for platform, tag in dict.fromkeys(found):
        if is_known(checked(image, tag)):
            yield FinalTag(image, platform, tag)


# -- the tags of a project -----------------------------------------------------------------------


def named(project: Project, name: str) -> dict[str, FinalTag]:
    """Return the tags by which Dockerfiles may name images: those of a repository, in its short form.

    A tag counts only if ``stages.toml`` and the settings decide it: keys must not depend on git.
    """
    repos = project.repositories.get(name, frozenset())
    if project.epoch_is_from_git:
        project = project._replace(epoch=TIME_OF_COMMIT)
    images = (image for image in project.images.values() if image.repo in repos)
    return {tag.tag: tag for image in images for tag in final(project, image)}


def repositories(project: Project, declared: str, hosts: set[str]) -> dict[str, frozenset[str]]:
    """Return the ``repo`` of images by each name of their repository, in its short form.

    ``declared`` is the repository in ``[project]``: it counts beside that of the call. ``hosts`` are the
    registries, "" for none.
    """
    found: dict[str, set[str]] = {}
    for repo in {"": None} | {image.repo: None for image in project.images.values()}:
        for name in {repo} if repo else {declared, project.settings.repo}:
            for host in hosts:
                found.setdefault(familiar(f"{host}/{name}" if host else name), set()).add(repo)
    return {name: frozenset(repos) for name, repos in found.items()}


def check(project: Project, more: Mapping[str, str] | None = None) -> None:
    """Raise ``ProjectError`` for a tag that is not valid, and for two images with the same tag.

    ``more`` has values from git. A tag that cannot be known yet is left out.
    """
    for image in project.images.values():
        _check_arguments(project, image)
        _check_values(project, image, more or {})
    for repos in dict.fromkeys(project.repositories.values()):
        owners: dict[str, FinalTag] = {}
        for image in project.images.values():
            if image.repo in repos:
                for tag in final(project, image, more):
                    if (other := owners.setdefault(tag.tag, tag)) != tag:
                        raise clash(project, other, tag)


def check_setting(project: Project, image: Image, *, published: bool = False) -> None:
    """Raise ``ProjectError`` if the setting ``tag`` gives an image a tag that is declared for another one.

    ``published``: the tags of ``doit publish``, otherwise those of a run. A tag that cannot be known yet is
    left out.
    """
    setting = project.settings.tag
    if not setting:
        return
    own, repo = {setting}, familiar(repository(project, image))
    if published:
        own |= {
            expand(text, {"platform": p}) for text in of_platforms(image, setting) for p in image.platforms
        }
    for other in project.images.values():
        if other.name == image.name or familiar(repository(project, other)) != repo:
            continue
        for tag in final(project, other):
            if tag.tag in own:
                reference = f"{repository(project, image)}:{tag.tag}"
                what = f"tag={setting}: image {image.name} would get the tag {reference}, as {tag.owner}"
                hint = "choose a tag that no other image has"
                raise ProjectError("command line", f"{what} ({other.tags_at})", hint)


def clash(project: Project, first: FinalTag, second: FinalTag) -> ProjectError:
    """Return the error for two images that would get the same tag."""
    reference = f"{repository(project, second.image)}:{second.tag}"
    what = f"image {second.image.name}: {second.owner} would get the tag {reference}, as {first.owner}"
    hint = "change a tag, or give one of the two images a repo of its own"
    if first.image == second.image:
        hint = "write {platform} in place of {arch}, or change one of the tags"
    return ProjectError(second.image.tags_at, f"{what} ({first.image.tags_at})", hint)


def _check_arguments(project: Project, image: Image) -> None:
    """Raise ``ProjectError`` for a placeholder of an argument that the stage lacks on a platform."""
    for text in image.tags:
        for placeholder in placeholders(text):
            name = placeholder.removeprefix(ARGS)
            if name == placeholder:
                continue
            for platform in image.platforms:
                known = project.stages[image.stage].configs[platform].args
                if name not in known:
                    what = f"image {image.name}: {{{placeholder}}}: stages.toml gives no argument {name}"
                    hint = nearest(name, known) if known else f"write args = {{ {name} = ... }}"
                    raise ProjectError(image.tags_at, f"{what} to {image.stage}:{platform}", hint)


def _check_values(project: Project, image: Image, more: Mapping[str, str]) -> None:
    """Raise ``ProjectError`` for the value of a placeholder that cannot be in a tag.

    A value with braces would be taken for a placeholder that is not known yet.
    """
    for text in image.tags:
        for placeholder in placeholders(text):
            for platform in image.platforms:
                value = {**values(project, image, platform), **more}.get(placeholder, "")
                if not _PART.fullmatch(value):
                    what = f"image {image.name}: {{{placeholder}}} of the tag {text!r} is {value!r}"
                    raise ProjectError(image.tags_at, f"{what}; this cannot be in a tag", TAG_HINT)

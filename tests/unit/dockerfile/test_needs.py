"""What steps need from the machine that builds: secrets, SSH agents, entitlements."""

from __future__ import annotations

import pytest
from helpers import facts

from stagegraph.dockerfile.needs import needs_of_trigger
from stagegraph.dockerfile.triggers import triggers

pytestmark = pytest.mark.unit

Needs = list[tuple[str, str, bool]]


def needs(text: str, **more: str) -> Needs:
    return [(need.kind, need.name, need.required) for need in facts(text, **more).needs]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ("RUN x", []),
        ("RUN --network=none x", []),
        ("RUN --network=host x", [("entitlement", "network.host", True)]),
        ("RUN --security=insecure x", [("entitlement", "security.insecure", True)]),
        ("RUN --security=sandbox x", []),
        ("RUN --mount=type=secret,id=a x", [("secret", "a", False)]),
        ("RUN --mount=type=secret,id=a,required x", [("secret", "a", True)]),
        ("RUN --mount=type=secret,id=a,required=true x", [("secret", "a", True)]),
        ("RUN --mount=type=secret,id=a,required=1 x", [("secret", "a", True)]),
        ("RUN --mount=type=secret,id=a,required=false x", [("secret", "a", False)]),
        ("RUN --mount=type=secret,id=a,env=A,required=true x", [("secret", "a", True)]),
        ("RUN --mount=type=secret,source=a,target=/b x", [("secret", "a", False)]),
        ("RUN --mount=type=secret,target=/run/b x", [("secret", "b", False)]),
        ("ARG N=a\nRUN --mount=type=secret,id=$N x", [("secret", "a", False)]),
        ("RUN --mount=type=SSH x", [("ssh", "default", False)]),
        ("RUN --mount=type=ssh,id=git,required=true x", [("ssh", "git", True)]),
        ("ADD https://example.com/a.git#" + "0" * 40 + " /", []),
        ("ADD git@example.com:a.git#" + "0" * 40 + " /", [("ssh", "default", True)]),
        ("ADD ssh://git@example.com/a.git#" + "0" * 40 + " /", [("ssh", "default", True)]),
        ("COPY file /", []),
    ],
)
def test_a_step_has_these_needs(step: str, found: Needs) -> None:
    assert needs(f"FROM base\n{step}\n") == found


def test_only_steps_that_the_target_reaches_count() -> None:
    text = "FROM base AS a\nRUN --network=host x\nFROM base AS b\nRUN --mount=type=ssh x\n"
    assert needs(text) == [("ssh", "default", False)]
    assert needs(text, target="a") == [("entitlement", "network.host", True)]


def test_a_need_has_the_line_and_words_of_its_step() -> None:
    (need,) = facts("FROM base\n\nRUN --security=insecure \\\n  x\n").needs
    assert (need.where, need.step) == ("x/Dockerfile:3", "RUN --security=insecure")


def test_the_stage_of_a_trigger_needs_only_that_its_secrets_are_declared() -> None:
    """Children run the step, so they need the rest."""
    step = "RUN --network=host --mount=type=ssh,required=true --mount=type=secret,id=a,required=true x"
    text = f"FROM base\nONBUILD {step}\n"
    assert needs(text) == [("secret", "a", False)]
    (trigger,) = triggers(text, "x/Dockerfile")
    assert [(need.kind, need.required) for need in needs_of_trigger(trigger)] == [
        ("entitlement", True),
        ("ssh", True),
        ("secret", True),
    ]


def test_triggers_of_an_earlier_build_stage_are_steps_of_the_next() -> None:
    text = "FROM base AS a\nONBUILD RUN --network=host x\nFROM a\n"
    assert needs(text) == [("entitlement", "network.host", True)]

"""Compose and Kubernetes: what is exported is YAML, and says what their specifications know."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from kegmaster.convert import (
    to_compose,
    to_kubernetes,
)
from kegmaster.convert import yaml as our_yaml
from kegmaster.convert.draft import Notes
from tests.master.convert.exporting import configured, leavers


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=12,
    )
)
def test_what_is_written_as_yaml_is_read_as_it_was(value: object) -> None:
    value = json.loads(
        json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    )  # lone surrogates are no text
    assert yaml.safe_load(our_yaml.document({"value": value})) == {"value": value}


SERVICE = {
    "image": str, "entrypoint": list, "working_dir": str, "init": bool, "restart": str, "stop_signal": str, "stop_grace_period": str,
    "environment": dict, "env_file": list, "user": str, "ulimits": dict, "mem_limit": int, "healthcheck": dict, "depends_on": dict,
    "logging": dict,
}  # fmt: skip
MANY = """
[db]
_enabled = True
_command = /usr/bin/db --password $HOME ${A} "it's"
_environment = A=$x B='50%' C=yes
_user = nobody
_group = nogroup
_health = /usr/bin/ask --db every=5
_memory_max = 64M
_limit_nofile = 500
[Set_Up]
_enabled = True
_command = /usr/bin/setup
_type = oneshot
_after = db
[web]
_enabled = True
_command = /usr/bin/web $(A) $(
_requires = db Set_Up
_ready = tcp://localhost:8080
_health = http://localhost:8080/well
_restart = on-failure
_start_limit_burst = 4
_environment_file = /etc/web.env
_nice = 5
[kegbot_core]
_enabled = True
"""


def test_a_compose_file_says_what_the_specification_knows() -> None:
    notes = Notes()
    services = yaml.safe_load(to_compose.write(leavers(configured(MANY)), "/srv/apps.cfg", notes))["services"]
    assert list(services) == ["db", "set_up", "web", "kegbot_core"]
    for service in services.values():
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), key
    assert services["db"]["entrypoint"] == ["/usr/bin/db", "--password", "$$HOME", "$${A}", "it's"]
    assert services["db"]["environment"] == {"A": "$$x", "B": "50%", "C": "yes"}
    assert services["db"]["healthcheck"]["test"] == ["CMD", "/usr/bin/ask", "--db"]
    assert services["web"]["depends_on"] == {
        "db": {"condition": "service_healthy"},
        "set_up": {"condition": "service_completed_successfully"},
    }
    assert (services["web"]["restart"], services["set_up"]["restart"]) == ("on-failure:4", "no")
    assert "--daemon=False" in services["kegbot_core"]["entrypoint"]
    assert any("_nice" in str(note) for note in notes.found)


def test_kubernetes_gets_a_deployment_for_each_app_and_a_job_for_each_oneshot() -> None:
    notes = Notes()
    found = list(yaml.safe_load_all(to_kubernetes.write(leavers(configured(MANY)), "/srv/apps.cfg", notes)))
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [
        ("Deployment", "db"), ("Job", "set-up"), ("Deployment", "web"), ("Deployment", "kegbot-core"),
    ]  # fmt: skip
    for each in found:
        spec = each["spec"]
        pod = spec["template"]["spec"]
        if each["kind"] == "Deployment":
            assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
            assert (spec["replicas"], spec["strategy"], pod["restartPolicy"]) == (
                1,
                {"type": "Recreate"},
                "Always",
            )
        else:
            assert pod["restartPolicy"] in ("Never", "OnFailure")
        assert pod["terminationGracePeriodSeconds"] == 10
        (container,) = pod["containers"]
        assert all(isinstance(word, str) for word in container["command"])
    web = found[2]["spec"]["template"]["spec"]["containers"][0]
    assert web["command"] == ["/usr/bin/web", "$$(A)", "$$("]
    assert web["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert web["livenessProbe"]["httpGet"] == {"path": "/well", "port": 8080}
    assert any("_after" in str(note) for note in notes.found)

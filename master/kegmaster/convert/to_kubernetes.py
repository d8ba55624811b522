"""Apps as Deployments and Jobs of Kubernetes, a pod each.

Source: the Kubernetes API reference, apps/v1 Deployment, batch/v1 Job, core/v1 Container and Probe. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from ..spec import App, Check
from . import yaml
from .draft import Notes
from .leaving import Leaver, say_detaching, say_lost, signal_name, unique

_KNOWN: Final = ("_restart", "_restart_sec", "_restart_max_delay_sec", "_timeout_start_sec", "_timeout_stop_sec",
                 "_kill_signal", "_user", "_group", "_memory_max", "_log_max_bytes", "_log_backups", "_ready",
                 "_health", "_environment_file")  # fmt: skip


def write(apps: Sequence[Leaver], file: str, notes: Notes) -> str:
    """The documents, one an app, parted by `---`."""
    names = unique([leaver.app.name for leaver in apps], _label)
    head = "# Made by master.py export --format=kubernetes. Each image is yours to name.\n"
    return head + "---\n".join(
        yaml.document(_object(leaver, names[leaver.app.name], file, notes)) for leaver in apps
    )


def _label(name: str) -> str:
    """RFC 1123, as Kubernetes wants names: small letters, digits and -, a letter or digit at both ends."""
    return re.sub("[^a-z0-9-]", "-", name.lower())[:58].strip("-") or "app"


def _object(leaver: Leaver, name: str, file: str, notes: Notes) -> dict[str, object]:
    app = leaver.app
    _say(leaver, file, notes)
    labels: dict[str, object] = {"app.kubernetes.io/name": name}
    pod: dict[str, object] = {
        "terminationGracePeriodSeconds": math.ceil(app.timeout_stop_sec),
        "containers": [_container(leaver, name, file, notes)],
    }
    if leaver.uid is not None or leaver.gid is not None:
        ids = {"runAsUser": leaver.uid, "runAsGroup": leaver.gid}
        pod["securityContext"] = {key: number for key, number in ids.items() if number is not None}
    if app.type == "oneshot":
        pod["restartPolicy"] = "Never" if app.policy.restart == "no" else "OnFailure"
        template = {"metadata": {"labels": labels}, "spec": pod}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": labels},
            "spec": {"template": template},
        }
    pod["restartPolicy"] = "Always"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 1,
            # Never two of one app, as here.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _say(leaver: Leaver, file: str, notes: Notes) -> None:
    app = leaver.app
    say_lost(app, file, _KNOWN, "Kubernetes", notes)
    say_detaching(leaver, file, "which ends its container", notes)
    if app.type != "oneshot" and app.policy.restart != "always":
        notes.add(
            file,
            app.key_lines.get("_restart", app.line),
            app.name,
            "_restart",
            "a Deployment is always brought back",
            "give it _type = oneshot, which becomes a Job",
        )
    if app.kill_signal != 15:
        line = app.key_lines.get("_kill_signal", app.line)
        notes.add(
            file,
            line,
            app.name,
            "_kill_signal",
            f"Kubernetes sends SIGTERM, not SIG{signal_name(app.kill_signal)}",
            "write STOPSIGNAL into the image's Dockerfile",
        )
    if (app.context.user and leaver.uid is None) or (app.context.group and leaver.gid is None):
        notes.add(
            file,
            app.key_lines.get("_user", app.line),
            app.name,
            "_user",
            "is not known here, and Kubernetes wants numbers",
            "write runAsUser and runAsGroup yourself",
        )
    if app.context.environment_file:
        notes.add(
            file,
            app.key_lines.get("_environment_file", app.line),
            app.name,
            "_environment_file",
            "Kubernetes keeps such variables in a Secret",
            f"kubectl create secret generic NAME --from-env-file={app.context.environment_file}, then envFrom:"
            " - secretRef: {name: NAME}",
        )


def _container(leaver: Leaver, name: str, file: str, notes: Notes) -> dict[str, object]:
    app = leaver.app
    container: dict[str, object] = {
        "name": name,
        "image": f"example/{name}:latest",
        "command": [_plain(word) for word in (app.argv[0], *leaver.words)],
        "workingDir": app.context.working_directory,
    }
    if leaver.environment:
        container["env"] = [
            {"name": key, "value": _plain(value)} for key, value in leaver.environment.items()
        ]
    if app.memory_max:
        container["resources"] = {"limits": {"memory": str(app.memory_max)}}
    for key, check, probe in (
        ("_ready", app.ready, "readinessProbe"),
        ("_health", app.health, "livenessProbe"),
    ):
        if check is None:
            continue
        asked = _probe(check)
        if asked:
            container[probe] = asked | _terms(app, check, probe)
        else:
            notes.add(
                file,
                app.key_lines.get(key, app.line),
                app.name,
                key,
                f"Kubernetes cannot ask {check.text}",
                "write a command that asks the same",
            )
    return container


def _plain(text: str) -> str:
    return text.replace("$(", "$$(")


def _probe(check: Check) -> dict[str, object]:
    if check.kind == "command":
        return {"exec": {"command": list(check.argv)}}
    if check.kind in ("tcp", "kegnet"):
        return {"tcpSocket": {"port": check.port}}
    if check.kind == "http":
        return {"httpGet": {"path": check.path, "port": check.port}}
    return {}


def _terms(app: App, check: Check, probe: str) -> dict[str, object]:
    grace = check.grace_s if check.grace_s is not None else app.timeout_start_sec
    return {
        "periodSeconds": max(1, round(check.every_s)),
        "timeoutSeconds": max(1, round(check.timeout_s)),
        "failureThreshold": check.failures,
        **({"initialDelaySeconds": round(grace)} if probe == "livenessProbe" else {}),
    }

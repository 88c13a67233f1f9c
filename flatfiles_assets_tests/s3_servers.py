"""S3 servers to test against, each in processes of its own that end with the test session.

Here: starting moto, Ceph's RADOS Gateway, OpenStack Swift and rclone on free loopback ports.
Not here: faults between client and server, which `fault_proxy.py` makes.

moto is fast to start but ignores signatures and sends checksums that real servers do not send;
what must hold against a real server is tested on `real_server`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flatfiles_assets.demo.embedded_s3 import EmbeddedS3, s3_client
from flatfiles_assets_tests.daemons import Daemons, ServerUnavailable, find_binary, free_port
from flatfiles_assets_tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY_ID = "demo:tester"  # The form that Swift's tempauth wants; the others take anything.
SECRET_ACCESS_KEY = "tester-secret"


@dataclasses.dataclass
class S3Server:
    """A running server and how to reach it."""

    name: str
    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    buckets: list[str] = dataclasses.field(default_factory=list)

    @property
    def credentials(self) -> dict[str, str]:
        """As `AsyncS3Downloader` takes them."""
        return {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}

    def client(self) -> S3Client:
        """A new boto3 client with short timeouts."""
        return s3_client(
            self.endpoint_url,
            self.access_key_id,
            self.secret_access_key,
            connect_timeout=PATIENCE_SECONDS,
            read_timeout=PATIENCE_SECONDS,
        )

    def new_bucket(self) -> str:
        """Create a bucket that nobody else uses and return its name."""
        name = f"test-{uuid.uuid4().hex}"
        self.client().create_bucket(Bucket=name)
        self.buckets.append(name)
        return name

    def delete_buckets(self) -> None:
        """Remove every bucket that `new_bucket` made, with what is in it."""
        client = self.client()
        while self.buckets:
            bucket = self.buckets.pop()
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    client.delete_object(Bucket=bucket, Key=entry["Key"])
            client.delete_bucket(Bucket=bucket)


def _wait_until_it_stores(server: S3Server, daemons: Daemons) -> None:
    """Wait for a PUT to succeed: an open port is not yet a store that works."""
    client = s3_client(
        server.endpoint_url,
        server.access_key_id,
        server.secret_access_key,
        connect_timeout=10,
        read_timeout=60,
        retries={"max_attempts": 0},
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        daemons.check_alive()
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        except Exception as error:
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"{server.name} stored nothing in time: {error}") from error
            time.sleep(0.2)
        else:
            # Whoever lost the race for a port has ended by now.
            daemons.check_alive()
            return


Launcher = Callable[[Daemons], S3Server]


@contextlib.contextmanager
def _launched(launch: Launcher, attempts: int = 3) -> Iterator[S3Server]:
    """A server in a fresh state folder; a lost race for a port gets another try."""
    for attempt in range(1, attempts + 1):
        # Not under pytest's folder: Ceph's admin sockets need a short path.
        state_dir = Path(tempfile.mkdtemp(prefix="s3-"))
        daemons = Daemons(state_dir)
        try:
            try:
                server = launch(daemons)
                _wait_until_it_stores(server, daemons)
            except ServerUnavailable:
                if attempt == attempts:
                    raise
                continue
            yield server
            return
        finally:
            daemons.stop()
            shutil.rmtree(state_dir, ignore_errors=True)


@contextlib.contextmanager
def moto() -> Iterator[S3Server]:
    """The embedded store of the demo."""
    with EmbeddedS3() as embedded:
        yield S3Server("moto", embedded.endpoint_url, embedded.access_key_id, embedded.secret_access_key)


_CEPH_CONF = """\
[global]
fsid = {fsid}
mon_host = v2:127.0.0.1:{mon_port}/0
keyring = {state}/keyring
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_pool_default_read_lease_ratio = 0.1
log_file = {state}/$name.log
admin_socket = {state}/$name.asok
run_dir = {state}
[mon]
mon_data = {state}/mon
[osd]
osd_data = {state}/osd
osd_objectstore = bluestore
bluestore_block_size = 10737418240
bluestore_cache_autotune = false
bluestore_cache_size = 134217728
[client.rgw.a]
rgw_data = {state}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port}
"""
_CEPH_BINARIES = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")


def _launch_radosgw(daemons: Daemons) -> S3Server:
    missing = [name for name in _CEPH_BINARIES if not shutil.which(name)]
    if missing:
        raise ServerUnavailable(f"radosgw is not installed: no {', '.join(missing)}")
    state, port, mon_port = daemons.state_dir, free_port(), free_port()
    fsid, osd_id = str(uuid.uuid4()), str(uuid.uuid4())
    conf, keyring, monmap = state / "ceph.conf", state / "keyring", state / "monmap"
    for folder in ("mon", "osd", "rgw"):
        (state / folder).mkdir()
    conf.write_text(_CEPH_CONF.format(fsid=fsid, mon_port=mon_port, state=state, port=port))
    common = ("-c", conf)

    daemons.run(
        "ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"
    )
    for name in ("client.admin", "client.rgw.a", "osd.0"):
        caps = [word for kind in ("mon", "osd", "mgr") for word in ("--cap", kind, "allow *")]
        daemons.run("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)
    daemons.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap)
    daemons.run("ceph-mon", *common, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    daemons.start("ceph-mon", *common, "-f", "-i", "a")
    daemons.run("ceph", *common, "--connect-timeout", "20", "osd", "new", osd_id)
    daemons.run("ceph-osd", *common, "-i", "0", "--mkfs", "--osd-uuid", osd_id, "--keyring", keyring)
    daemons.start("ceph-osd", *common, "-f", "-i", "0")
    daemons.start("radosgw", *common, "-f", "-n", "client.rgw.a")
    user = ("user", "create", "--uid=demo", "--display-name=demo")
    keys = (f"--access-key={ACCESS_KEY_ID}", f"--secret-key={SECRET_ACCESS_KEY}")
    daemons.run("radosgw-admin", *common, "-n", "client.rgw.a", *user, *keys)
    return S3Server("radosgw", f"http://127.0.0.1:{port}", ACCESS_KEY_ID, SECRET_ACCESS_KEY)


@contextlib.contextmanager
def radosgw() -> Iterator[S3Server]:
    """Ceph's RADOS Gateway on a single-node cluster, from Debian's packages."""
    with _launched(_launch_radosgw) as server:
        yield server


_SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = demo
swift_hash_path_suffix = demo
[storage-policy:0]
name = default
default = yes
"""
_SWIFT_STORAGE_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
devices = {state}/devices
mount_check = false
swift_dir = {state}
user = {user}
workers = 0
log_level = WARNING
log_address = {state}/none
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
recon_cache_path = {state}
"""
_SWIFT_PROXY_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {state}
user = {user}
workers = 0
log_level = WARNING
log_address = {state}/none
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth slo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{login} = {secret} .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
"""
_SWIFT_PLAIN_FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "slo", "symlink")
_SWIFT_KINDS = ("account", "container", "object")

# One ring per kind, with one device; in a process of its own because Swift patches what it imports.
_SWIFT_RINGS = """\
import sys
from swift.common.ring import RingBuilder
for argument in sys.argv[1:]:
    kind, port = argument.split("=")
    ring = RingBuilder(part_power=6, replicas=1, min_part_hours=1)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(kind + ".ring.gz")
"""


def _launch_swift(daemons: Daemons) -> S3Server:
    servers = {kind: find_binary(f"swift-{kind}-server") for kind in (*_SWIFT_KINDS, "proxy")}
    if not all(servers.values()):
        raise ServerUnavailable("swift is not installed")
    state, user = daemons.state_dir, pwd.getpwuid(os.getuid()).pw_name
    (state / "devices" / "d1").mkdir(parents=True)
    (state / "swift.conf").write_text(_SWIFT_CONF)
    ports = {kind: free_port() for kind in servers}
    for kind in _SWIFT_KINDS:
        conf = _SWIFT_STORAGE_CONF.format(kind=kind, port=ports[kind], state=state, user=user)
        (state / f"{kind}.conf").write_text(conf)
    account, login = ACCESS_KEY_ID.split(":")
    proxy = _SWIFT_PROXY_CONF.format(
        port=ports["proxy"], state=state, user=user, account=account, login=login, secret=SECRET_ACCESS_KEY
    )
    plain = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _SWIFT_PLAIN_FILTERS)
    (state / "proxy.conf").write_text(proxy + plain)
    rings = [f"{kind}={ports[kind]}" for kind in _SWIFT_KINDS]
    daemons.run(sys.executable, "-c", _SWIFT_RINGS, *rings)
    for kind, program in servers.items():
        daemons.start(str(program), state / f"{kind}.conf")
    return S3Server("swift", f"http://127.0.0.1:{ports['proxy']}", ACCESS_KEY_ID, SECRET_ACCESS_KEY)


@contextlib.contextmanager
def swift() -> Iterator[S3Server]:
    """OpenStack Swift with its S3 front, from PyPI alone."""
    with _launched(_launch_swift) as server:
        yield server


@contextlib.contextmanager
def rclone() -> Iterator[S3Server]:
    """`rclone serve s3` over a temporary folder: not a faithful server, but never the bottleneck."""

    def launch(daemons: Daemons) -> S3Server:
        binary = find_binary("rclone")
        if binary is None:
            raise ServerUnavailable("rclone is not installed")
        folder, address = daemons.state_dir / "buckets", f"127.0.0.1:{free_port()}"
        folder.mkdir()
        # Its default log line for a missing configuration file is no error.
        common = ("--config", daemons.state_dir / "rclone.conf")
        auth = f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"
        daemons.start(binary, *common, "serve", "s3", folder, "--addr", address, "--auth-key", auth)
        return S3Server("rclone", f"http://{address}", ACCESS_KEY_ID, SECRET_ACCESS_KEY)

    with _launched(launch) as server:
        yield server


@contextlib.contextmanager
def given_by_environment() -> Iterator[S3Server]:
    """The server that ``FLATFILES_TEST_S3_ENDPOINT``, ``_ACCESS_KEY`` and ``_SECRET_KEY`` name."""
    names = [f"FLATFILES_TEST_S3_{part}" for part in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY")]
    values = [os.environ.get(name, "") for name in names]
    if not any(values):
        raise ServerUnavailable("no server is given in the environment")
    if not all(values):
        raise ValueError(f"set all of {', '.join(names)} or none")
    server = S3Server("given by the environment", *values)
    try:
        yield server
    finally:
        server.delete_buckets()


@contextlib.contextmanager
def real_server() -> Iterator[S3Server]:
    """The server given in the environment, else radosgw, else Swift, else moto with a warning."""
    candidates: Sequence[Callable[[], contextlib.AbstractContextManager[S3Server]]]
    candidates = (given_by_environment, radosgw, swift)
    reasons = []
    with contextlib.ExitStack() as stack:
        for candidate in candidates:
            try:
                server = stack.enter_context(candidate())
                break
            except ServerUnavailable as error:
                reasons.append(str(error))
        else:
            warnings.warn(f"no real S3 server, so moto stands in: {'; '.join(reasons)}", stacklevel=2)
            server = stack.enter_context(moto())
        yield server

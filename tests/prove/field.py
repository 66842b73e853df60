#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clouds, brokers, NATs and name servers as users have reported them: a row a case, what was seen, right or wrong.

usage: field.py [--short] [--only TEXT] [--jobs N]

Each row is a case of a test of its own (tests/integration/test-NAME.py, or a unit test), run by name, in a scratch directory and,
where the case wants it, namespaces of its own. The last line is JSON; status 0 only if all rows are right. A row whose test cannot
run here (no namespaces, a peer that is not installed) is wrong too, unless --skips allows it. --short: what takes seconds.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.join(ROOT, "tests", "integration")]
from excerpt import telling  # noqa: E402
from waiting import BUILD_DIR, STRETCH  # noqa: E402

SKIPPED = 77
PATIENCE = 240 * STRETCH  # seconds, for one case
Row = collections.namedtuple("Row", "kind what test case quick", defaults=(False,))
QUICK = True
ROWS = [
    # What brokers ask of a client beside its key.
    Row("login", "a user name and a password beside the key", "agent-mqtt", "a_login_beside_the_key"),
    Row("login", "both in CONNECT, for their uplink alone", "unit:vault-login", "", QUICK),
    # Several hosts, and brokers that name another.
    Row("hosts", "nobody at the first of the list", "broker-words", "the_next_host_of_the_list"),
    Row("hosts", "Server Reference, followed where that is wanted", "broker-words", "another_server_is_followed"),
    Row("hosts", "a refusal by a server that was named is no evidence", "broker-words", "a_refusal_there_is_no_evidence"),
    Row("hosts", "the order, and what a reference may be", "unit:uplink-hosts", "", QUICK),
    # A stale address.
    Row("stale address", "another cloud has the address", "names", "another_cloud_got_the_address"),
    Row("stale address", "connect looks the name up", "names", "connect_looks_the_name_up"),
    Row("stale address", "the first of two addresses is another cloud's", "names", "the_second_address_is_the_cloud"),
    Row("stale address", "a captive portal has the address", "names", "a_portal_got_the_address"),
    Row("stale address", "a server of certificates has the address", "names", "a_server_of_certificates_got_the_address"),
    Row("stale address", "answers in another order, or others, keep the round", "unit:uplink-resolver", "", QUICK),
    # A pack that makes the server hang up.
    Row("oversize pack", "the broker hangs up", "oversize", "broker_hangs_up"),
    Row("oversize pack", "the broker resets the connection", "oversize", "broker_resets"),
    Row("oversize pack", "DISCONNECT 0x95", "oversize", "disconnect_too_large_halves_at_once"),
    Row("oversize pack", "DISCONNECT 0x80", "oversize", "unspecified_disconnect"),
    Row("oversize pack", "mosquitto with max_packet_size", "oversize", "mosquitto_hangs_up"),
    Row("oversize pack", "one sample never passes", "oversize", "one_sample_never_passes"),
    Row("oversize pack", "one sample never passes, MQTT 3.1.1", "oversize", "one_sample_never_passes_3_1_1"),
    Row("oversize pack", "one sample is too large", "oversize", "one_sample_is_too_large"),
    Row("oversize pack", "a line that drops loses nothing", "oversize", "a_line_that_drops_loses_nothing"),
    Row("oversize pack", "a broken broker is given no sample", "oversize", "a_broken_broker_is_given_no_sample"),
    Row("oversize pack", "CoAP, 4.13", "oversize-coap", "too_large_is_halved"),
    Row("oversize pack", "CoAP, 4.13 with the size", "oversize-coap", "too_large_with_its_size"),
    Row("oversize pack", "CoAP, 4.00", "oversize-coap", "the_server_rejects"),
    Row("oversize pack", "CoAP, the server closes", "oversize-coap", "the_server_closes"),
    Row("oversize pack", "CoAP, silence to large ones", "oversize-coap", "the_server_is_silent_to_large_ones"),
    Row("oversize pack", "CoAP, one sample is rejected", "oversize-coap", "one_sample_is_rejected"),
    Row("oversize pack", "CoAP, one sample has the session closed", "oversize-coap", "one_sample_has_the_session_closed"),
    # "online" while nothing is accepted.
    Row("standstill", "a path that drops large datagrams", "oversize-coap", "large_datagrams_are_lost"),
    Row("standstill", "no PUBACK, no answer", "standstill", "it_is_told_that_nothing_is_accepted"),
    # Long polls, and idle NATs.
    Row("idle NAT", "pings by what was last sent, long polls included", "unit:coap-keepalive", "", QUICK),
    Row("idle NAT", "a NAT with the kernel's defaults", "nat", "a_silent_session_keeps_its_binding"),
    Row("idle NAT", "a NAT that forgets after ten seconds", "nat", "a_hasty_nat_wants_a_short_keepalive"),
    # A new key that nobody accepts.
    Row("new key in vain", "an ACL by user name", "rotate-vain", "acl_by_user_name"),
    Row("new key in vain", "an ACL by user name, MQTT 3.1.1", "rotate-vain", "acl_by_user_name_3_1_1"),
    Row("new key in vain", "an ACL by client id", "rotate-vain", "acl_by_client_id"),
    Row("new key in vain", "a registrar that lies", "rotate-vain", "registrar_that_lies"),
    # A clock that is wrong.
    Row("wrong clock", "the year 2000, from a dead battery", "wrong-clock", "dead_battery"),
    Row("wrong clock", "before what the vault and the spool know", "wrong-clock", "before_what_is_known"),
    Row("wrong clock", "never set", "wrong-clock", "never_set"),
    # What a broker says.
    Row("broker's words", "CONNACK with a reason", "broker-words", "words_of_connack"),
    Row("broker's words", "another server", "broker-words", "another_server_is_named"),
    Row("broker's words", "DISCONNECT with a reason", "broker-words", "words_of_disconnect"),
    Row("broker's words", "a refused subscription", "broker-words", "a_refused_subscription_is_named"),
    Row("broker's words", "PUBACK with a reason", "broker-words", "words_of_puback"),
    Row("broker's words", "pings within its keepalive", "broker-words", "pings_come_within_the_keepalive"),
    # Servers with which there is nothing in common.
    Row("mismatch", "every alert and library error", "unit:uplink-handshake", "", QUICK),
    Row("mismatch", "TLS 1.1 only", "uplink-mismatch", "tls_1_1_only", QUICK),
    Row("mismatch", "TLS 1.2, no common suite", "uplink-mismatch", "tls_1_2_without_a_common_suite", QUICK),
    Row("mismatch", "TLS 1.2, no common group", "uplink-mismatch", "tls_1_2_without_a_common_group", QUICK),
    Row("mismatch", "TLS 1.3, no common suite", "uplink-mismatch", "tls_1_3_without_a_common_suite", QUICK),
    Row("mismatch", "TLS 1.3, no common group", "uplink-mismatch", "tls_1_3_without_a_common_group", QUICK),
    Row("mismatch", "TLS 1.3, the key is bound to SHA-384", "uplink-mismatch", "tls_1_3_key_bound_to_sha384", QUICK),
    Row("mismatch", "GnuTLS, no common suite", "uplink-mismatch", "gnutls_without_a_common_suite", QUICK),
    Row("mismatch", "mosquitto, no common suite", "uplink-mqtt", "no_common_suite_says_nothing_about_the_key", QUICK),
    Row("mismatch", "DTLS, no common suite or group", "uplink-mismatch", "dtls_without_a_common_suite"),
    Row("mismatch", "P-256 and P-384 only, by HelloRetryRequest", "uplink-mismatch", "tls_1_3_after_a_hello_retry_request"),
    Row("mismatch", "a DTLS server that has only P-384", "uplink", "server_that_has_only_p384"),
    Row("mismatch", "a DTLS cookie over 32 bytes", "uplink-mismatch", "a_cookie_over_32_bytes_is_a_limit_of_the_library", QUICK),
    # ... and what is still told as a refusal.
    Row("refusal", "a wrong key, TLS 1.2", "uplink-mismatch", "tls_1_2_wrong_key", QUICK),
    Row("refusal", "a wrong key, TLS 1.3", "uplink-mismatch", "tls_1_3_wrong_key", QUICK),
    Row("refusal", "an unknown identity, TLS 1.3", "uplink-mismatch", "tls_1_3_unknown_identity", QUICK),
    Row("refusal", "GnuTLS, either", "uplink-mismatch", "gnutls_wrong_key_and_unknown_identity", QUICK),
    Row("refusal", "mosquitto, an unknown identity", "uplink-mqtt", "an_unknown_identity_is_refused", QUICK),
    Row("refusal", "Mbed TLS, a wrong key", "uplink-mbedtls", "a_wrong_key_is_refused"),
    Row("refusal", "OpenSSL and GnuTLS over DTLS, a wrong key", "uplink", "a_wrong_key_is_refused_within_35_seconds"),
    Row("post-quantum", "the group, with and without ML-KEM", "uplink-mqtt", "the_key_exchange_is_post_quantum_where_it_can_be", QUICK),
    Row("post-quantum", "a path that drops long hellos", "uplink-mqtt", "a_hello_that_is_too_long_for_the_path_is_made_short", QUICK),
    Row("mismatch", "a broker with PSK-AES256-CBC-SHA alone, on request", "absent", "cbc_on_request", QUICK),
    # Commands for a device that is absent.
    Row("absent", "the broker keeps commands, MQTT 5", "absent", "kept_for_an_absent_device"),
    Row("absent", "the broker keeps commands, MQTT 3.1.1", "absent", "kept_for_an_absent_device_3_1_1"),
    Row("absent", "the device disconnects, and the agent goes on", "absent", "kept_while_the_line_is_down"),
    Row("absent", "a retained command, on request", "absent", "retained_commands_on_request"),
    # What a broker keeps of devices.
    Row("kept topics", "a removed device comes back while it is taken back", "homeassistant", "one_that_comes_back_has_one_session"),
    Row("kept topics", "what could not be written down is later", "homeassistant", "what_could_not_be_written_down_is_later"),
    Row("kept topics", "a point is of another kind with each report", "unit:device-seen", "", QUICK),
    # What waited, where only the latest is wanted.
    Row("latest", "an outage leaves a value a point, in every durability", "unit:spool-overtaken", "", QUICK),
    Row("latest", "the agent is killed in an outage", "spool", "killed_with_the_latest"),
    # How fast a backlog is sent.
    Row("drain", "an uplink's bound holds for its devices together", "drain", "bounded_together"),
    Row("drain", "a reload lifts it", "drain", "lifted_by_a_reload"),
    # What a cloud sets, and is to hear of.
    Row("settings", "Golioth's, an answer to each version", "settings", "each_version_is_answered"),
    Row("settings", "shown again after a new session", "settings", "shown_again"),
    Row("settings", "with nothing to write", "settings", "with_nothing_to_write"),
    Row("settings", "the driver comes later", "settings", "driver_comes_later"),
    # Long answers on the system bus, as a fleet of a cloud's has them.
    Row("long answers", "root waits for one of other users' at most", "bus-limits", "root_waits_for_one"),
    # Slow servers and dark addresses.
    Row("slow server", "an identity looked up for 9 s", "uplink-mbedtls", "a_slow_look_up_is_no_refusal"),
    Row("slow server", "a probe, and 9 s", "uplink-mbedtls", "a_probe_waits_for_a_slow_look_up"),
    Row("dark address", "seven of eight, CoAP", "dark-addresses", "seven_of_eight_are_dark"),
    Row("dark address", "seven of eight, MQTT", "dark-addresses", "seven_of_eight_brokers_are_dark"),
    Row("dark address", "the one that worked, CoAP", "dark-addresses", "the_live_address_goes_dark"),
    Row("dark address", "the one that worked, MQTT", "dark-addresses", "the_live_broker_goes_dark"),
]


def command(row):
    if row.test.startswith("unit:"):
        return [os.path.join(BUILD_DIR, "tests", "unit", "test-" + row.test[5:])]
    return [sys.executable, os.path.join(ROOT, "tests", "integration", f"test-{row.test}.py"), row.case]


def seen(row, text, status):
    """What the test itself said of it: a figure, or why it failed."""
    lines = text.splitlines()
    failed = [line for line in lines if re.match(r"FAILED|\[  FAILED", line)]
    if status == SKIPPED:
        return "cannot run here: " + (lines[-1] if lines else "")
    if failed or status != 0:
        return (failed or lines or ["it said nothing"])[-1][:300]
    figures = [line for line in lines if re.search(r": [\d.]+ s$", line)]
    return figures[-1] if figures else "as it should"


def play(row):
    began = time.monotonic()
    try:
        done = subprocess.run(command(row), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              timeout=PATIENCE, check=False, env={**os.environ, "GATEHOUSE_BUILD": BUILD_DIR, "GATEHOUSE_MEASURES": "1"})
        text, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired:
        text, status = f"FAILED: not over after {PATIENCE} s", 1
    passed = status == 0 and (row.test.startswith("unit:") or re.search(rf"^ok +{re.escape(row.case)}\b", text, re.M))
    status = status or int(not passed)
    return row, seen(row, text, status), status, time.monotonic() - began, telling(text)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].split("\n")[0])
    parser.add_argument("--short", action="store_true", help="only rows that take seconds")
    parser.add_argument("--only", default="", help="rows whose kind or name contains this")
    parser.add_argument("--jobs", type=int, default=4, help="rows at a time: mostly they wait")
    parser.add_argument("--skips", action="store_true", help="what cannot run here is not wrong")
    options = parser.parse_args()
    rows = [r for r in ROWS if (r.quick or not options.short) and options.only.lower() in f"{r.kind}: {r.what}".lower()]
    began, wrong, skipped = time.monotonic(), [], []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for row, what, status, seconds, why in pool.map(play, rows):
            allowed = status == SKIPPED and options.skips
            (skipped if allowed else wrong if status else []).append(f"{row.kind}: {row.what}")
            print(f"{'skip ' if allowed else 'WRONG' if status else 'right'}  {row.kind + ':':17}{row.what:52}{seconds:6.1f} s  {what}",
                  flush=True)
            if status and not allowed:
                print("".join(f"         {line}\n" for line in why), end="", flush=True)
    print(json.dumps({"rows": len(rows), "right": len(rows) - len(wrong) - len(skipped), "wrong": wrong, "skipped": len(skipped),
                      "seconds": round(time.monotonic() - began, 1)}))
    return 0 if rows and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The findings that a check can have, as data: a stable id, a severity, and what is meant by it. Whoever finds
 * something names its row; `gatehousectl check --list` and gatehouse-check(7) are made from this table. An id is for
 * ever: scripts wait for it, so it is never given a second meaning. Pure, any thread. */

enum severity {
    SEVERITY_NOTE,    /* worth knowing, nothing to do */
    SEVERITY_WARNING, /* works, and will hurt */
    SEVERITY_ERROR,   /* something does not work */
};

/* In the order in which a person should look at them: what is behind others comes first. */
enum finding_id {
    /* the agent and its files */
    FINDING_AGENT_STOPPED,
    FINDING_BAD_SETTING,
    FINDING_CONFIG_UNREADABLE,
    FINDING_CONFIG_WRITABLE,
    FINDING_KEYFILE_MISSING,
    FINDING_KEYFILE_MODE,
    FINDING_VAULT_CLOSED,
    /* the machine */
    FINDING_CLOCK_WRONG,
    FINDING_TIME_ZONE,
    FINDING_STATE_OWNER,
    FINDING_STATE_VOLATILE,
    FINDING_STATE_FULL,
    FINDING_CARD_WORN,
    FINDING_POLKIT_ABSENT,
    /* the network, by uplink */
    FINDING_NAME_UNRESOLVED,
    FINDING_ROUTE_MISSING,
    FINDING_PORT_CLOSED,
    FINDING_SERVER_SILENT,
    /* keys and handshakes, by device */
    FINDING_SUITES_DIFFER,
    FINDING_HANDSHAKE_FAILED,
    FINDING_IDENTITY_UNKNOWN,
    FINDING_KEY_REFUSED,
    FINDING_KEY_ENCODING,
    FINDING_KEY_MISSING,
    FINDING_KEY_DAMAGED,
    FINDING_KEY_UNREGISTERED,
    FINDING_KEY_RESTORED,
    FINDING_CLONE,
    FINDING_MESSAGES_REFUSED,
    FINDING_NO_FORWARD_SECRECY,
    FINDING_IDENTITY_TELLS,
    FINDING_DEVICE_DISABLED,
    FINDING_HANDSHAKE_TRIED,
    /* samples */
    FINDING_SPOOL_FAILS,
    FINDING_SAMPLES_ORPHANED,
    /* drivers and sensors */
    FINDING_DRIVER_MISSING,
    FINDING_PLUGIN_ABI,
    FINDING_DRIVER_AWAY,
    FINDING_SENSOR_FAILED,
    FINDING_SERIAL_MISSING,
    FINDING_SERIAL_DENIED,
    FINDING_SERIAL_CONSOLE,
    FINDING_SERIAL_LATENCY,
    FINDING_BLUETOOTH_BLOCKED,
    FINDING_BLUETOOTH_ADAPTER,
    FINDING_BLUETOOTH_DAEMON,
    /* the check itself */
    FINDING_NOT_LOOKED,
    FINDINGS_N,
};

struct finding_kind {
    const char *name;
    enum severity severity;
    const char *meaning; /* a sentence or two, for the manual page */
    const char *mend;    /* the kind of command, likewise; NULL: none fits all */
};

extern const struct finding_kind finding_kinds[FINDINGS_N];

const char *severity_name(enum severity severity);
/* FINDINGS_N if there is none of that name. */
enum finding_id finding_by_name(const char *name);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The output of device_status(). Texts are the device's and valid until the loop turn ends. Times:
 * CLOCK_REALTIME, 0 = never. */

#include "base/device-state.h"
#include "base/sensor-state.h"
#include "uplink/trouble.h"

#include <stdbool.h>
#include <stdint.h>

struct status_sensor {
    enum sensor_state state;
    const char *reason;
};

/* Texts are "" where there is no such key. */
struct status_keys {
    const char *main_identity, *main_fingerprint;
    uint64_t main_since;
    const char *backup_identity, *backup_fingerprint;
    const char *bind_fingerprint, *login_fingerprint;
};

struct status_rotation {
    const char *state;
    const char *reason; /* what it waits for, "": nothing */
    uint64_t until;     /* 0: not known */
    uint64_t next;
};

/* The session that stands; texts are "" while there is none. */
struct status_session {
    const char *server;
    const char *suite, *group; /* of the key exchange */
    bool forward_secrecy;
};

/* The hindrance that keeps its session from being made. */
struct status_trouble {
    enum uplink_trouble kind;
    const char *host;  /* with which, "": not known */
    const char *words; /* with the server and, if it was refused, the identity; "": none */
};

struct status_samples {
    uint64_t delivered, spooled, dropped, rejected;
};

/* The output of `show`. */
struct device_status {
    const char *id, *driver, *uplink;
    const char *file, *address; /* of its sensor, in its driver's words; "" if its file does not say */
    enum device_state state;
    uint64_t next_try; /* to connect; 0: none is waited for */
    uint64_t last_authenticated;
    struct status_sensor sensor;
    struct status_keys keys;
    struct status_rotation rotation;
    struct status_session session;
    struct status_trouble trouble;
    const char *last_error;
    bool messages_refused; /* the session stands, and the server does not take what it is sent */
    const char *limits;    /* of its packs, beside the profile's; "" for none */
    const char *sending;   /* what keeps its samples: a name of enum send_answer */
    struct status_samples samples;
};

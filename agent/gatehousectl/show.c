/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "devices.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STATISTICS_WIDTH 62

/* Whether somebody who records the traffic today reads it once there are quantum computers. */
static void print_suite(json_object *d)
{
    bool secrecy = json_object_get_boolean(json_object_object_get(d, "ForwardSecrecy"));
    const char *safe = !secrecy                                        ? "no"
                       : strstr(row_text(d, "Group"), "MLKEM") != NULL ? "yes (ML-KEM)"
                                                                       : "yes (PSK with ECDHE: the key is needed too)";

    printf("%16s: %s%s%s, forward secrecy: %s\n", "suite", row_text(d, "Suite"),
           row_text(d, "Group")[0] ? " with " : "", row_text(d, "Group"), secrecy ? "yes" : "no");
    printf("%16s: recorded traffic safe: %s\n", "post-quantum", safe);
}

static void print_credential(const char *label, const char *identity, const char *fingerprint)
{
    if (identity[0])
        printf("%16s: identity %s, fingerprint %s\n", label, identity, fingerprint);
    else
        printf("%16s: none\n", label);
}

/* As many on a line as an old terminal has room for. */
static void print_statistics(json_object *counts)
{
    const char *label = "statistics";
    int at = 0;

    json_object_object_foreach (counts, name, value) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%s %s", name, json_object_get_string(value));

        if (at > 0 && at + n + 2 <= STATISTICS_WIDTH)
            printf(", %s", text);
        else
            printf("%s%16s%s %s", at > 0 ? "\n" : "", label, label[0] ? ":" : " ", text);
        at = at > 0 && at + n + 2 <= STATISTICS_WIDTH ? at + n + 2 : n;
        label = "";
    }
    if (at > 0)
        putchar('\n');
}

static void print_device(json_object *d)
{
    char waits[1024];

    printf("%s\n%16s: %s\n", row_text(d, "Id"), "state", row_text(d, "State"));
    printf("%16s: %s%s%s\n", "sensor", row_text(d, "SensorState"), row_text(d, "SensorReason")[0] ? ": " : "",
           row_text(d, "SensorReason"));
    if (row_text(d, "LastError")[0] && strcmp(row_text(d, "LastError"), row_text(d, "SensorReason")) != 0)
        printf("%16s: %s\n", "last error", row_text(d, "LastError"));
    printf("%16s: %s\n%16s: %s\n", "driver", row_text(d, "Driver"), "uplink", row_text(d, "Uplink"));
    print_credential("main key", row_text(d, "MainIdentity"), row_text(d, "MainFingerprint"));
    print_credential("backup key", row_text(d, "BackupIdentity"), row_text(d, "BackupFingerprint"));
    if (row_text(d, "BindFingerprint")[0])
        printf("%16s: fingerprint %s\n", "bind key", row_text(d, "BindFingerprint"));
    if (row_text(d, "MainIdentity")[0])
        print_time("main since", row_number(d, "MainSince"));
    printf("%16s: %s\n", "rotation", row_text(d, "RotationState"));
    if (print_waits(d, waits, sizeof(waits)) > 0)
        printf("%16s: %s\n", "waits for", waits);
    print_time("next rotation", row_number(d, "NextRotation"));
    print_time("authenticated", row_number(d, "LastAuthenticated"));
    if (row_text(d, "Suite")[0])
        print_suite(d);
    if (row_text(d, "Limits")[0])
        printf("%16s: %s\n", "sent in", row_text(d, "Limits"));
    printf("%16s: %" PRIu64 " delivered, %" PRIu64 " waiting, %" PRIu64 " dropped, %" PRIu64 " rejected\n", "samples",
           row_number(d, "Delivered"), row_number(d, "Spooled"), row_number(d, "Dropped"), row_number(d, "Rejected"));
    if (json_object_object_get(d, "Statistics"))
        print_statistics(json_object_object_get(d, "Statistics"));
}

/* What the driver has counted, as far as it can be had: by whoever may ask, of a driver that counts. */
static void add_statistics(struct ctl *c, const char *path, json_object *device)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    json_object *counts;

    if (sd_bus_call_method(c->bus, BUS_NAME, path, BUS_INTERFACE_DEVICE, "GetStatistics", NULL, &reply, "") >= 0 &&
        ctl_to_json(reply, &counts) >= 0)
        json_object_object_add(device, "Statistics", counts);
}

int verb_show(struct ctl *c, int argc, char **argv)
{
    _cleanup_json_ json_object *device = NULL;
    _cleanup_free_ char *path = NULL;
    int r = ctl_device(c, argv[0], &path);

    if (r == 0)
        r = ctl_properties(c, path, BUS_INTERFACE_DEVICE, &device);
    if (r != 0)
        return r;
    add_statistics(c, path, device);
    if (print_text_wanted(c))
        print_device(device);
    c->result = TAKE_PTR(device);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages to the cloud that use the profile's words: the common part. Loop thread. */

#include "payload/profile.h"
#include "uplink/session.h"

#include <stdint.h>

struct device;

/* message.c */
struct device_names {
    struct profile_names profile;
};

/* The values of the profile's words; valid as long as the device's configuration. 0 or -errno. */
int device_names(const struct device *d, struct device_names *ret);
int message_send(struct uplink_session *s, const struct profile_message *m, uplink_done done, void *userdata,
                 struct uplink_call **ret);
/* As the uplink takes it; a view. */
struct uplink_request message_request(const struct profile_message *m);

/* "4.03"; over MQTT "0x87". */
#define CODE_TEXT_MAX 8
void message_code_text(const struct profile *p, uint8_t code, char ret[static CODE_TEXT_MAX]);
/* A line for the cloud, if its profile has a place for them and there is a session; the journal has it in any case. */
void message_log(struct device *d, enum profile_level level, const char *module, const char *text);

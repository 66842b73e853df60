/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The states that a device is shown in: their one list, for the agent and for its client. Pure. */

/* Each state and its name on D-Bus, in tables and in metrics. */
/* clang-format off */
#define DEVICE_STATES_EACH(row)                                                                                        \
    row(DEVICE_NO_CREDENTIAL, "no-credential")                                                                         \
    row(DEVICE_UNREGISTERED, "unregistered")                                                                           \
    row(DEVICE_NO_DRIVER, "no-driver")                                                                                 \
    row(DEVICE_CONNECTING, "connecting")                                                                               \
    row(DEVICE_ONLINE, "online")                                                                                       \
    row(DEVICE_BACKING_OFF, "backing-off")                                                                             \
    row(DEVICE_UNREACHABLE, "unreachable")                                                                             \
    row(DEVICE_REFUSED, "refused")                                                                                     \
    row(DEVICE_CONFLICT, "conflict")                                                                                   \
    row(DEVICE_RESTORED, "restored")                                                                                   \
    row(DEVICE_DISABLED, "disabled")                                                                                   \
    row(DEVICE_DAMAGED, "damaged") /* what the vault has of it does not open */                                        \
    row(DEVICE_IDLE, "idle")    /* its session is made on demand, and there is none */
/* clang-format on */

#define DEVICE_STATE_MEMBER(state, name) state,
enum device_state { DEVICE_STATES_EACH(DEVICE_STATE_MEMBER) };
#undef DEVICE_STATE_MEMBER

#define DEVICE_STATES (DEVICE_IDLE + 1)

/* A literal: "no-credential|unregistered|…|", to be followed by what else may be asked for. */
#define DEVICE_STATE_CHOICE(state, name) name "|"
#define DEVICE_STATE_CHOICES DEVICE_STATES_EACH(DEVICE_STATE_CHOICE)

/* "unknown" for what is no state. */
const char *device_state_name(enum device_state state);
/* -EINVAL: no state has this name. */
int device_state_from_name(const char *name);

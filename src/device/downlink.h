/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The cloud's commands to a device: heard over its session, carried out by its driver, and answered. Part of
 * device/internal.h, which others include; loop thread; nothing here fails, what goes wrong is logged. */

#include <stdbool.h>
#include <stddef.h>

struct device;

/* The session stands: listens to what is not listened to yet. */
void downlink_online(struct device *d);
/* Its driver is connected: what waited for that is listened to. */
void downlink_driver_connected(struct device *d);
/* The session has been stopped, and with it every subscription. */
void downlink_stopped(struct device *d);
/* Listens no longer; what is under way goes on. */
void downlink_leave(struct device *d);
void downlink_done(struct device *d);
/* Why some of its commands are not heard; false: all are. */
bool downlink_refused(const struct device *d, char *buffer, size_t size);
/* A command is being carried out, or the cloud is still to hear what became of one. */
bool downlink_busy(const struct device *d);

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Causes that kept a session from being made, for programs that sort them instead of reading words. The words that go
 * with it are the reason of the session's state. Pure, any thread. */

enum uplink_trouble {
    UPLINK_TROUBLE_NONE,
    UPLINK_TROUBLE_NAME,     /* the host has no address */
    UPLINK_TROUBLE_ROUTE,    /* there is no way to the address */
    UPLINK_TROUBLE_CLOSED,   /* nothing listens there */
    UPLINK_TROUBLE_SILENT,   /* nothing comes back */
    UPLINK_TROUBLE_SUITES,   /* nothing in common: version, suite, group, hash, certificate or protocol */
    UPLINK_TROUBLE_IDENTITY, /* the server says that it does not know the identity */
    UPLINK_TROUBLE_KEY,      /* the server accepts key or identity not */
    UPLINK_TROUBLE_OTHER,    /* it ended for a reason that says nothing about these */
    UPLINK_TROUBLE_LOCAL,    /* our side: no descriptor, no memory, no key */
};

/* Of a network's error (positive). */
enum uplink_trouble uplink_trouble_of_errno(int error);

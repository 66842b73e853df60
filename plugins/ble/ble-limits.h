/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits of the plugin. Times in microseconds. */

#include <stdint.h>

#define USEC UINT64_C(1)
#define MSEC (1000 * USEC)
#define SEC (1000 * MSEC)
#define MINUTE (60 * SEC)

#define ADDRESS_TEXT 18 /* "A4:C1:38:02:83:F4" with its NUL */
#define REASON_MAX 256
#define BLE_POINTS_MAX 1024
#define BLE_NAMES_MAX 128 /* values of a device whose time of the last report is kept */
#define ADAPTERS_MAX 16
#define HEARD_MAX 512  /* addresses kept during a scan; the weakest give way */
#define ELEMENTS_MAX 8 /* manufacturer and service data looked at in one advertisement, of each */
#define UUIDS_MAX 16
#define CONNECTIONS_MAX 4       /* at a time, on one adapter */
#define CHARACTERISTICS_MAX 128 /* of a device */

#define TICK (500 * MSEC)
#define BUS_RETRY (5 * SEC)
#define POWER_RETRY (10 * SEC)   /* an adapter that is off is asked to go on again */
#define SCAN_RETRY_MIN (1 * SEC) /* after a discovery that could not begin */
#define SCAN_RETRY_MAX (60 * SEC)
#define SCAN_SILENCE (90 * SEC)     /* nothing at all was heard: the discovery is begun anew */
#define PASSIVE_RETRY (10 * MINUTE) /* after a monitor was refused: scanned actively meanwhile */
#define CALL_TIMEOUT (20 * SEC)
#define CONNECT_TIMEOUT (30 * SEC)
#define RESOLVE_TIMEOUT (15 * SEC)
#define CONNECT_RETRY_MIN (2 * SEC)
#define CONNECT_RETRY_MAX (5 * MINUTE)
#define LINGER (10 * SEC)         /* a connection that nothing is wanted of */
#define CROWDED_TOLD (5 * SEC)    /* kept waiting by the connections of others: then it is told */
#define STALE_TRIES 3             /* connections without what is wanted: BlueZ forgets what it cached */
#define STALE_PAUSE (60 * MINUTE) /* between two times that it forgets because of odd answers */
#define KEEP_INTERVAL (10 * SEC)  /* between two notes of a counter to the agent */
#define ASK_TIMEOUT (28 * SEC)    /* a read or write that somebody waits for */

#define INTERVAL_DEFAULT (1 * MINUTE)
#define TIMEOUT_DEFAULT (15 * MINUTE)
#define READ_DEFAULT (1 * MINUTE)
#define READ_MIN (1 * SEC)
#define DURATION_MAX (24 * 60 * MINUTE)
#define SCAN_DEFAULT 10 /* seconds */
#define SCAN_MAX 120

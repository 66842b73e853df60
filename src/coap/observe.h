/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The order of notifications (RFC 7641 section 3.4). Pure, any thread. */

#include <stdbool.h>
#include <stdint.h>

/* Whether notification `number`, received at `now`, is newer than `last`, received at `last_at`. */
bool coap_observe_is_newer(uint32_t last, uint64_t last_at, uint32_t number, uint64_t now);

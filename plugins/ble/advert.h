/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An advertisement as it was heard, with what its scan response added, without anything of the system that heard it.
 * All memory is the caller's, and is only looked at during a call. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADVERT_POWER_NONE 127 /* the value of rssi or tx_power that means "not known" */

struct advert_manufacturer {
    uint16_t company;
    const uint8_t *bytes; /* without the company id */
    size_t n;
};

struct advert_service {
    const char *uuid; /* 4, 8 or 36 characters, of either case */
    const uint8_t *bytes;
    size_t n;
};

struct advert {
    const char *address; /* "A4:C1:38:02:83:F4" */
    bool random_address;
    const char *name; /* NULL: not known */
    int8_t rssi;      /* dBm */
    int8_t tx_power;  /* dBm */
    const struct advert_manufacturer *manufacturer;
    size_t n_manufacturer;
    const struct advert_service *service; /* service data */
    size_t n_service;
    const char *const *uuids; /* services that it says it has */
    size_t n_uuids;
};

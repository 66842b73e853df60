/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The reason codes of a broker's CONNACK and DISCONNECT: their texts and consequences. Pure, any thread. */

#include <stdbool.h>
#include <stdint.h>

enum mqtt_version { MQTT_V5 = 5, MQTT_V311 = 4 };

/* Reason codes that mean something to us. */
#define MQTT_NOT_AUTHORISED 0x87
#define MQTT_TOO_LARGE 0x95
#define MQTT_FAILS(reason) ((reason) >= 0x80)

/* CONNACK codes are those of version 5 (0x80 and above) or of 3.1.1 (1 to 5). */
bool mqtt_connack_refuses(enum mqtt_version version, uint8_t code);     /* whom we say we are */
bool mqtt_connack_wants_older(enum mqtt_version version, uint8_t code); /* it does not speak this version */
bool mqtt_names_server(uint8_t code);                                   /* another one is to be used, of version 5 */
const char *mqtt_connack_text(enum mqtt_version version, uint8_t code); /* "the broker does not ..." */
const char *mqtt_disconnect_text(uint8_t reason);

/* Words of the broker's, bounded, in quotes, whatever is not printable ASCII escaped; NULL or "": "". */
#define MQTT_WORDS_MAX 160
void mqtt_quote(const char *words, char ret[static MQTT_WORDS_MAX]);
/* "not authorized" */
const char *mqtt_reason_name(uint8_t reason);

/* The meaning of a connection's end for the message in flight. */
enum mqtt_blame {
    MQTT_BLAMES_NOTHING, /* another matter: it is published again */
    MQTT_BLAMES_SILENCE, /* no answer: it may be the message, or the line */
    MQTT_BLAMES_MESSAGE, /* it may well be the message */
    MQTT_BLAMES_PERHAPS, /* it may be the message, or what the server thinks of the client, which takes time to change
                          */
    MQTT_BLAMES_BY_CODE, /* the code is the answer to the message, as in PUBACK */
    MQTT_BLAMES_NUMBER,  /* too many at once */
};
enum mqtt_blame mqtt_disconnect_blames(uint8_t reason);

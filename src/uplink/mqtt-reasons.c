/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/mqtt-reasons.h"

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>

bool mqtt_connack_refuses(enum mqtt_version version, uint8_t code)
{
    if (version == MQTT_V311)
        return code == CONNACK_REFUSED_BAD_USERNAME_PASSWORD || code == CONNACK_REFUSED_NOT_AUTHORIZED;
    return code == MQTT_RC_BAD_USERNAME_OR_PASSWORD || code == MQTT_RC_NOT_AUTHORIZED || code == MQTT_RC_BANNED;
}

bool mqtt_connack_wants_older(enum mqtt_version version, uint8_t code)
{
    return version == MQTT_V5 &&
           (code == CONNACK_REFUSED_PROTOCOL_VERSION || code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION);
}

bool mqtt_names_server(uint8_t code)
{
    return code == MQTT_RC_USE_ANOTHER_SERVER || code == MQTT_RC_SERVER_MOVED;
}

const char *mqtt_connack_text(enum mqtt_version version, uint8_t code)
{
    if (mqtt_connack_refuses(version, code))
        return "the key was good, but the broker does not let this client in (CONNACK: not authorised)";
    if (version == MQTT_V311 ? code == CONNACK_REFUSED_IDENTIFIER_REJECTED : code == MQTT_RC_CLIENTID_NOT_VALID)
        return "the broker does not take our client id";
    if (version == MQTT_V311 ? code == CONNACK_REFUSED_SERVER_UNAVAILABLE : code == MQTT_RC_SERVER_UNAVAILABLE)
        return "the broker is not available now";
    if (version == MQTT_V311)
        return "the broker does not speak MQTT 3.1.1";
    switch (code) {
    case MQTT_RC_USE_ANOTHER_SERVER:
    case MQTT_RC_SERVER_MOVED:
        return "the broker wants another server to be used: change the address in the uplink's url";
    case MQTT_RC_SERVER_BUSY:
        return "the broker is busy";
    case MQTT_RC_QUOTA_EXCEEDED:
        return "the broker has a quota that is exceeded";
    case MQTT_RC_CONNECTION_RATE_EXCEEDED:
        return "the broker does not take as many connections at once";
    case MQTT_RC_RETAIN_NOT_SUPPORTED:
        return "the broker retains no messages, and ours to be sent when we are gone is to be retained";
    default:
        return mosquitto_reason_string(code);
    }
}

void mqtt_quote(const char *words, char ret[static MQTT_WORDS_MAX])
{
    size_t n = 0;

    ret[0] = 0;
    if (!words || !words[0])
        return;
    ret[n++] = '"';
    /* Room for one escape, the quotes, and three dots. */
    for (; *words && n < MQTT_WORDS_MAX - 9; words++) {
        unsigned char c = (unsigned char)*words;

        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            n += (size_t)snprintf(ret + n, MQTT_WORDS_MAX - n, "\\x%02x", c);
        else
            ret[n++] = (char)c;
    }
    snprintf(ret + n, MQTT_WORDS_MAX - n, "%s\"", *words ? "..." : "");
}

const char *mqtt_reason_name(uint8_t reason)
{
    return mosquitto_reason_string(reason);
}

/* MQTT 5 section 3.14.2.1, with what 4.13 says of errors. Reserved codes say as little as 0x80.
 *
 * A code that can come of nothing but the server's state, another client or a SUBSCRIBE blames nothing, however often
 * it comes. A rate is one of data, a quota may be of bytes, and an administrative action a rule that the message
 * breaks: whether it is so only shows when they come again and again with the same message. No message of ours has a
 * topic alias, so that a server that finds one has misread it. A server that does not hear from us may be behind a path
 * on which large packets are lost. */
enum mqtt_blame mqtt_disconnect_blames(uint8_t reason)
{
    switch (reason) {
    case MQTT_RC_NOT_AUTHORIZED:
    case MQTT_RC_TOPIC_NAME_INVALID:
    case MQTT_RC_PACKET_TOO_LARGE:
    case MQTT_RC_PAYLOAD_FORMAT_INVALID:
    case MQTT_RC_RETAIN_NOT_SUPPORTED:
    case MQTT_RC_QOS_NOT_SUPPORTED:
        return MQTT_BLAMES_BY_CODE;
    case MQTT_RC_RECEIVE_MAXIMUM_EXCEEDED:
        return MQTT_BLAMES_NUMBER;
    case MQTT_RC_KEEP_ALIVE_TIMEOUT:
        return MQTT_BLAMES_SILENCE;
    case MQTT_RC_TOPIC_ALIAS_INVALID:
    case MQTT_RC_MESSAGE_RATE_TOO_HIGH:
    case MQTT_RC_QUOTA_EXCEEDED:
    case MQTT_RC_ADMINISTRATIVE_ACTION:
        return MQTT_BLAMES_PERHAPS;
    case MQTT_RC_SERVER_BUSY:
    case MQTT_RC_SERVER_SHUTTING_DOWN:
    case MQTT_RC_SESSION_TAKEN_OVER:
    case MQTT_RC_TOPIC_FILTER_INVALID:
    case MQTT_RC_USE_ANOTHER_SERVER:
    case MQTT_RC_SERVER_MOVED:
    case MQTT_RC_SHARED_SUBS_NOT_SUPPORTED:
    case MQTT_RC_CONNECTION_RATE_EXCEEDED:
    case MQTT_RC_MAXIMUM_CONNECT_TIME:
    case MQTT_RC_SUBSCRIPTION_IDS_NOT_SUPPORTED:
    case MQTT_RC_WILDCARD_SUBS_NOT_SUPPORTED:
        return MQTT_BLAMES_NOTHING;
    default:
        return MQTT_FAILS(reason) ? MQTT_BLAMES_MESSAGE : MQTT_BLAMES_NOTHING;
    }
}

const char *mqtt_disconnect_text(uint8_t reason)
{
    switch (reason) {
    case MQTT_RC_SESSION_TAKEN_OVER:
        return "another client uses this client id";
    case MQTT_RC_NOT_AUTHORIZED:
        return "refused: the broker ended the session, it is not authorised any more";
    case MQTT_RC_ADMINISTRATIVE_ACTION:
        return "the broker's administrator ended the session";
    case MQTT_RC_SERVER_SHUTTING_DOWN:
        return "the broker is being stopped";
    case MQTT_RC_KEEP_ALIVE_TIMEOUT:
        return "the broker did not hear from us in time";
    case MQTT_RC_SERVER_MOVED:
    case MQTT_RC_USE_ANOTHER_SERVER:
        return "the broker wants another server to be used: change the address in the uplink's url";
    case MQTT_RC_PACKET_TOO_LARGE:
        return "a message was larger than the broker takes";
    default:
        return mosquitto_reason_string(reason);
    }
}

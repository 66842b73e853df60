/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A struct mosquitto as a connection needs it, and what it calls. */
#include "base/limits.h"
#include "uplink/mqtt-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ── What libmosquitto calls ── */

static void quote_property(const mosquitto_property *list, int identifier, char ret[static MQTT_WORDS_MAX])
{
    char *text = NULL;

    if (mosquitto_property_read_string(list, identifier, &text, false))
        mqtt_quote(text, ret);
    free(text);
}

static void note_words(struct mqtt *m, const mosquitto_property *list)
{
    quote_property(list, MQTT_PROP_REASON_STRING, m->end.words);
    quote_property(list, MQTT_PROP_SERVER_REFERENCE, m->end.reference);
}

static void on_connect(struct mosquitto *mosquitto, void *userdata, int code, int flags, const mosquitto_property *list)
{
    struct mqtt *m = userdata;
    uint16_t maximum = UINT16_MAX, keepalive;
    uint8_t qos;

    m->end.connack = code;
    mqtt_login_forget(m);
    (void)mosquitto_property_read_int16(list, MQTT_PROP_RECEIVE_MAXIMUM, &maximum, false);
    m->terms.receive_maximum = maximum;
    (void)mosquitto_property_read_int32(list, MQTT_PROP_MAXIMUM_PACKET_SIZE, &m->terms.packet_max, false);
    if (mosquitto_property_read_int16(list, MQTT_PROP_SERVER_KEEP_ALIVE, &keepalive, false))
        m->terms.keepalive = keepalive;
    if (code != 0)
        note_words(m, list);
    if (m->terms.version == MQTT_V5 && mqtt_names_server((uint8_t)code))
        (void)mosquitto_property_read_string(list, MQTT_PROP_SERVER_REFERENCE, &m->end.refers_to, false);
    m->terms.no_qos1 = mosquitto_property_read_byte(list, MQTT_PROP_MAXIMUM_QOS, &qos, false) && qos < 1;
}

static void on_disconnect(struct mosquitto *mosquitto, void *userdata, int reason, const mosquitto_property *list)
{
    struct mqtt *m = userdata;

    if (m->end.gone >= 0) /* after the broker's reason there comes one of libmosquitto's own */
        return;
    m->end.gone = reason;
    if (m->end.connack != 0)
        return; /* it was not let in */
    mqtt_quote(m->in.frames.properties.reason.text, m->end.words);
    mqtt_quote(m->in.frames.properties.reference.text, m->end.reference);
    if (reason >= 0 && reason <= UINT8_MAX && mqtt_names_server((uint8_t)reason) && !m->end.refers_to &&
        !m->in.frames.properties.reference.cut) /* half a name is another one */
        m->end.refers_to = strdup(m->in.frames.properties.reference.text);
}

const char *mqtt_reference(const struct mqtt *m)
{
    return m->end.refers_to;
}

static void on_publish(struct mosquitto *mosquitto, void *userdata, int mid, int reason, const mosquitto_property *list)
{
    struct mqtt *m = userdata;
    char words[MQTT_WORDS_MAX] = "";

    if (MQTT_FAILS(reason))
        quote_property(list, MQTT_PROP_REASON_STRING, words);
    if (mqtt_is_open(m))
        m->ops->published(m->userdata, mid, (uint8_t)reason, words);
}

static void on_subscribe(struct mosquitto *mosquitto, void *userdata, int mid, int n, const int *granted,
                         const mosquitto_property *list)
{
    struct mqtt *m = userdata;
    uint8_t reason = n > 0 ? (uint8_t)granted[0] : MQTT_RC_UNSPECIFIED;
    char words[MQTT_WORDS_MAX] = "";

    if (MQTT_FAILS(reason))
        quote_property(list, MQTT_PROP_REASON_STRING, words);
    if (mqtt_is_open(m))
        m->ops->subscribed(m->userdata, mid, reason, words);
}

static void on_message(struct mosquitto *mosquitto, void *userdata, const struct mosquitto_message *message,
                       const mosquitto_property *list)
{
    struct mqtt *m = userdata;

    /* A retained message was meant for somebody else, or is old, unless retained commands are wanted. */
    if (mqtt_is_open(m) && (m->terms.retained || !message->retain))
        m->ops->message(m->userdata, message->topic, message->payload, (size_t)message->payloadlen);
}

/* ── Making one ── */

/* libmosquitto has a pair of sockets for waking its own loop, which we have not: a byte is written at each packet, and
 * none is ever read, so each connection would come to hold 200 kB in the kernel. Nothing tells which they are but the
 * numbers that were free; a thread that opened a file meanwhile has them, and all stays as it is. */
static void free_numbers(int null, int ret[2])
{
    ret[0] = fcntl(null, F_DUPFD_CLOEXEC, 0);
    ret[1] = fcntl(null, F_DUPFD_CLOEXEC, 0);
    safe_close(ret[0]);
    safe_close(ret[1]);
}

static bool is_own_pair(int fd)
{
    struct sockaddr_storage name;
    struct ucred peer = {0};
    int domain = 0, type = 0;
    socklen_t n = sizeof(domain), k = sizeof(type), p = sizeof(peer), a = sizeof(name);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &k) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &p) == 0 && peer.pid == getpid() &&
           getsockname(fd, (struct sockaddr *)&name, &a) == 0 && a == sizeof(sa_family_t);
}

static struct mosquitto *make_mosquitto(struct mqtt *m, const char *client_id)
{
    int null = m->shared->null, pair[2];
    struct mosquitto *mosquitto;

    free_numbers(null, pair);
    mosquitto = mosquitto_new(client_id, m->terms.session_expiry == 0, m);
    if (mosquitto && is_own_pair(pair[0]) && is_own_pair(pair[1])) {
        (void)dup3(null, pair[0], O_CLOEXEC);
        (void)dup3(null, pair[1], O_CLOEXEC);
    }
    return mosquitto;
}

/* Properties that only CONNECT of version 5 has. The call that takes properties connects, and blocks while it does;
 * nothing is there to connect to, so that it comes back at once, and keeps them. */
static int set_connect_properties(struct mqtt *m)
{
    mosquitto_property *list = NULL;
    int r = mosquitto_property_add_int32(&list, MQTT_PROP_MAXIMUM_PACKET_SIZE, MQTT_PACKET_MAX);

    if (r == MOSQ_ERR_SUCCESS && m->terms.session_expiry > 0)
        r = mosquitto_property_add_int32(&list, MQTT_PROP_SESSION_EXPIRY_INTERVAL, m->terms.session_expiry);
    if (r == MOSQ_ERR_SUCCESS)
        (void)mosquitto_connect_bind_v5(m->mosquitto, "", 0, (int)m->terms.keepalive, NULL, list);
    mosquitto_property_free_all(&list);
    return r;
}

static int set_options(struct mqtt *m, const struct mqtt_options *o, struct error *e)
{
    struct mosquitto *mosquitto = m->mosquitto;
    int r = mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION,
                                 m->terms.version == MQTT_V5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);

    if (r == MOSQ_ERR_SUCCESS)
        r = mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
    if (r == MOSQ_ERR_SUCCESS)
        r = mosquitto_int_option(mosquitto, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    if (r == MOSQ_ERR_SUCCESS)
        r = mosquitto_void_option(mosquitto, MOSQ_OPT_SSL_CTX, m->shared->tls);
    if (r == MOSQ_ERR_SUCCESS && m->terms.version == MQTT_V5)
        r = set_connect_properties(m);
    if (r != MOSQ_ERR_SUCCESS)
        return error_set(e, r == MOSQ_ERR_NOMEM ? -ENOMEM : -EIO, "libmosquitto: %s", mosquitto_strerror(r));
    r = mqtt_login_set(m, o, e);
    if (r < 0)
        return r;
    m->terms.has_will = o->will_topic;
    if (o->will_topic)
        r = mosquitto_will_set(mosquitto, o->will_topic, (int)o->will_size, o->will, 1, o->will_retain);
    if (r != MOSQ_ERR_SUCCESS)
        return error_set(e, -EINVAL, "what is to be sent to \"%.128s\" when we are gone is no message: %s",
                         o->will_topic, mosquitto_strerror(r));
    return 0;
}

int mqtt_set_up(struct mqtt *m, const struct mqtt_options *options, struct error *e)
{
    struct mosquitto *mosquitto;

    m->terms.session_expiry = options->session_expiry;
    m->terms.retained = options->retained;
    mosquitto = m->mosquitto = make_mosquitto(m, options->client_id);
    if (!mosquitto)
        return error_set(e, errno == ENOMEM ? -ENOMEM : -EINVAL, "\"%.128s\" cannot be a client id",
                         options->client_id);
    mosquitto_connect_v5_callback_set(mosquitto, on_connect);
    mosquitto_disconnect_v5_callback_set(mosquitto, on_disconnect);
    mosquitto_publish_v5_callback_set(mosquitto, on_publish);
    mosquitto_subscribe_v5_callback_set(mosquitto, on_subscribe);
    mosquitto_message_v5_callback_set(mosquitto, on_message);
    return set_options(m, options, e);
}

int mqtt_connect_to(struct mqtt *m, struct error *e)
{
    bool six = m->address.any.sa_family == AF_INET6;
    const unsigned sent = MQTT_SENT_TIMEOUT / USEC_PER_MSEC;
    char host[NI_MAXHOST];
    int r;

    /* A literal address is looked up nowhere. */
    if (getnameinfo(&m->address.any, m->address.size, host, sizeof(host), NULL, 0, NI_NUMERICHOST) != 0)
        return error_set(e, -EAFNOSUPPORT, "not an address for TCP");
    errno = 0;
    r = mosquitto_connect_async(m->mosquitto, host, ntohs(six ? m->address.v6.sin6_port : m->address.v4.sin_port),
                                (int)m->terms.keepalive);
    if (m->tls.local_error < 0)
        return m->tls.local_error;
    if (r == MOSQ_ERR_ERRNO && errno != 0) {
        r = -errno;
        return r == -ECONNREFUSED ? error_set(e, r, "nothing listens there") : error_errno(e, r, "no connection");
    }
    if (r == MOSQ_ERR_TLS)
        return -EPROTO; /* so soon has the other side hung up */
    if (r != MOSQ_ERR_SUCCESS || mosquitto_socket(m->mosquitto) < 0)
        return error_set(e, -EIO, "libmosquitto: %s", mosquitto_strerror(r));
    (void)setsockopt(mosquitto_socket(m->mosquitto), IPPROTO_TCP, TCP_USER_TIMEOUT, &sent, sizeof(sent));
    return 0;
}

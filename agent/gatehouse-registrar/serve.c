/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve.h"

#include "base/clock.h"
#include "base/durable.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/names.h"
#include "cloud.h"
#include "exec.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ── The API key ── */

/* Read anew for each request, so that a new one is taken without a restart. *ret stays NULL if there is none. */
static int read_api_key(const struct serve_options *o, char **ret, struct error *e)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    _cleanup_free_ char *path = NULL, *data = NULL;
    size_t n = 0;
    int r;

    if (!o->api_key_file && !directory)
        return 0;
    if (asprintf(&path, "%s%s%s", o->api_key_file ?: directory, o->api_key_file ? "" : "/",
                 o->api_key_file ? "" : CREDENTIAL_API_KEY) < 0)
        return -ENOMEM;
    r = file_read(AT_FDCWD, path, REGISTRAR_API_KEY_MAX, &data, &n, e);
    if (r == -ENOENT && !o->api_key_file)
        return 0;
    if (r < 0)
        return error_prefix(e, r, "the API key");
    if (n > 0 && data[n - 1] == '\n')
        data[--n] = 0;
    for (size_t i = 0; i < n && r >= 0; i++)
        if (data[i] <= 0x20 || data[i] >= 0x7f)
            r = error_set(e, -EINVAL, "the API key in %s is no single line of printable characters", path);
    if (r >= 0 && n == 0 && o->api_key_file)
        r = error_set(e, -EINVAL, "the API key in %s is empty", path);
    if (r >= 0 && n > 0) /* an empty credential is how a unit says that there is none */
        *ret = TAKE_PTR(data);
    else
        explicit_bzero(data, n);
    return r;
}

/* The header line that shows it, in the way of that cloud. */
static int header_of(const struct request *q, const char *key, char **ret)
{
    _cleanup_free_ char *basic = NULL;
    size_t n = strlen(key);
    int k;

    if (q->type == TYPE_GOLIOTH)
        return asprintf(ret, "x-api-key: %s", key) < 0 ? -ENOMEM : 0;
    /* A registry takes a name with a password, or a token, which has no ':'. */
    if (!strchr(key, ':'))
        return asprintf(ret, "Authorization: Bearer %s", key) < 0 ? -ENOMEM : 0;
    basic = malloc(BASE64_SIZE(n));
    if (!basic)
        return -ENOMEM;
    base64_encode(key, n, basic);
    k = asprintf(ret, "Authorization: Basic %s", basic);
    explicit_bzero(basic, strlen(basic));
    return k < 0 ? -ENOMEM : 0;
}

/* ── One request ── */

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
}

static int ask_cloud(const struct request *q, const struct serve_options *o, struct outcome *out)
{
    __attribute__((cleanup(wipe))) char *key = NULL, *header = NULL;
    struct error e = {0};
    int r = read_api_key(o, &key, &e);

    if (r >= 0 && key)
        r = header_of(q, key, &header);
    if (r < 0)
        return outcome_retry(out, false, 0, "%s", e.text[0] ? e.text : strerrordesc_np(-r));
    r = q->type == TYPE_GOLIOTH ? golioth_serve(q, header, out) : hono_serve(q, header, out);
    if (key)
        outcome_hide(out, key);
    return r;
}

static void carry_out(const char *text, size_t n, const struct serve_options *o, struct outcome *out)
{
    __attribute__((cleanup(request_done))) struct request q = {0};
    struct error e = {0};
    int r = request_parse(text, n, &q, &e);

    if (r < 0) {
        outcome_retry(out, false, 0, "the request is none: %s", e.text[0] ? e.text : strerrordesc_np(-r));
        log_warning(NULL, "%s", out->texts.reason);
        return;
    }
    if (q.type != o->type)
        outcome_retry(out, false, 0, "this registrar is for %s, not for %s", registrar_type_to_string(o->type),
                      registrar_type_to_string(q.type));
    else if (q.url && o->url && strcmp(q.url, o->url) != 0)
        outcome_retry(out, false, 0, "this registrar speaks to %s only, not to %.200s", o->url, q.url);
    else if (q.type == TYPE_EXEC)
        exec_serve(&q, o->program_dir, out);
    else
        ask_cloud(&q, o, out);
    if (q.key)
        outcome_hide(out, q.key);
    log_info(q.device, "%s %s: %s%s%s", wire_action_to_string(q.action), q.identity,
             registrar_result_text(out->answer.result), out->texts.reason[0] ? ": " : "", out->texts.reason);
}

/* All until the peer's shutdown; what is too much is read as well, so that the peer comes to hear of it. 0, -ETIMEDOUT,
 * -EMSGSIZE. */
static int read_request(int fd, char *text, size_t *ret_size)
{
    uint64_t deadline = clock_boottime() + REGISTRAR_READ_TIMEOUT, now;
    size_t size = 0;
    bool over = false;

    while ((now = clock_boottime()) < deadline) {
        struct pollfd p = {fd, POLLIN, 0};
        ssize_t n;

        if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) <= 0)
            continue;
        if (size > REGISTRAR_MESSAGE_MAX)
            size = REGISTRAR_MESSAGE_MAX, over = true;
        n = recv(fd, text + size, REGISTRAR_MESSAGE_MAX + 1 - size, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n == 0) {
            *ret_size = size;
            return over ? -EMSGSIZE : 0;
        }
        size += n > 0 ? (size_t)n : 0;
    }
    return -ETIMEDOUT;
}

static int write_answer(int fd, const struct registrar_answer *answer)
{
    _cleanup_free_ char *text = NULL;
    int r = wire_write_answer(answer, &text);

    for (size_t n = r >= 0 ? strlen(text) : 0, done = 0; done < n;) {
        ssize_t k = send(fd, text + done, n - done, MSG_NOSIGNAL);

        if (k < 0 && errno != EINTR)
            return -errno;
        done += k > 0 ? (size_t)k : 0;
    }
    return r;
}

int serve(int fd, const struct serve_options *options)
{
    char *text = malloc(REGISTRAR_MESSAGE_MAX + 1);
    struct outcome out = {0};
    size_t n = 0;
    int r = text ? read_request(fd, text, &n) : -ENOMEM;

    /* A peer that hangs up without a request is no error. */
    if (r >= 0 && n == 0) {
        free(text);
        return 0;
    }
    if (r >= 0)
        carry_out(text, n, options, &out);
    else
        outcome_retry(&out, false, 0, "the request did not come whole: %s", strerrordesc_np(-r));
    if (text)
        explicit_bzero(text, n);
    free(text);
    return write_answer(fd, &out.answer);
}

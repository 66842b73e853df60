/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "https.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

struct https {
    CURL *curl;
    struct curl_slist *authorization;
    uint64_t deadline;
    char error[CURL_ERROR_SIZE];
};

struct body {
    char *data;
    size_t n;
};

void https_answer_done(struct https_answer *a)
{
    free(a->body);
    *a = (struct https_answer){0};
}

struct https *https_free(struct https *h)
{
    if (!h)
        return NULL;
    for (struct curl_slist *s = h->authorization; s; s = s->next)
        explicit_bzero(s->data, strlen(s->data));
    curl_slist_free_all(h->authorization);
    if (h->curl)
        curl_easy_cleanup(h->curl);
    free(h);
    return NULL;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
    struct body *b = userdata;
    char *more;

    if (n > REGISTRAR_HTTP_BODY_MAX - b->n)
        return 0;
    more = realloc(b->data, b->n + n + 1);
    if (!more)
        return 0;
    b->data = more;
    memcpy(b->data + b->n, data, n);
    b->n += n;
    b->data[b->n] = 0;
    return n;
}

static CURLcode settings(struct https *h, const struct request *q)
{
    CURLcode k = curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "https");

    /* Independent of the library's version and the system's policy. */
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_PROXY, q->proxy ?: "");
    if (k == CURLE_OK && q->ca)
        k = curl_easy_setopt(h->curl, CURLOPT_CAINFO, q->ca);
    if (k == CURLE_OK && q->ca)
        k = curl_easy_setopt(h->curl, CURLOPT_CAPATH, NULL);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->error);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "gatehouse/" GATEHOUSE_VERSION);
    if (k == CURLE_OK)
        k = curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_body);
    return k;
}

int https_new(const struct request *q, const char *authorization, struct https **ret, struct error *e)
{
    _cleanup_(https_freep) struct https *h = calloc(1, sizeof(*h));

    if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(e, -ENOMEM, "no memory for an HTTPS call");
    h->deadline = clock_boottime() + REGISTRAR_BUDGET;
    h->curl = curl_easy_init();
    if (authorization)
        h->authorization = curl_slist_append(NULL, authorization);
    if (!h->curl || (authorization && !h->authorization))
        return error_set(e, -ENOMEM, "no memory for an HTTPS call");
    if (settings(h, q) != CURLE_OK)
        return error_set(e, -EINVAL, "the HTTPS library refuses its settings: %s", h->error);
    *ret = TAKE_PTR(h);
    return 0;
}

/* Whether the request cannot have reached the server: not a byte of it was written. */
static bool unsent(struct https *h)
{
    long size = 1;

    return curl_easy_getinfo(h->curl, CURLINFO_REQUEST_SIZE, &size) == CURLE_OK && size == 0;
}

static struct curl_slist *headers(struct https *h, const char *body, const char *if_match)
{
    struct curl_slist *list = NULL, *more;
    char line[320];

    snprintf(line, sizeof(line), "If-Match: %s", if_match ?: "");
    for (struct curl_slist *s = h->authorization; s; s = s->next)
        list = curl_slist_append(list, s->data);
    more = curl_slist_append(list, "Accept: application/json");
    if (more && body)
        more = curl_slist_append(more, "Content-Type: application/json");
    if (more && if_match)
        more = curl_slist_append(more, line);
    if (more)
        return more;
    curl_slist_free_all(list);
    return NULL;
}

static void read_head(struct https *h, struct https_answer *ret)
{
    struct curl_header *header;
    curl_off_t seconds = 0;

    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    if (curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
        ret->retry_after = MIN_OF((uint64_t)seconds, REGISTRAR_RETRY_AFTER_MAX / USEC_PER_SEC) * USEC_PER_SEC;
    if (curl_easy_header(h->curl, "ETag", 0, CURLH_HEADER, -1, &header) == CURLHE_OK &&
        strlen(header->value) < sizeof(ret->etag))
        snprintf(ret->etag, sizeof(ret->etag), "%s", header->value);
}

static CURLcode perform(struct https *h, const char *method, const char *url, const char *body, struct curl_slist *list,
                        uint64_t timeout, struct body *answer)
{
    h->error[0] = 0;
    curl_easy_setopt(h->curl, CURLOPT_URL, url);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, (long)(timeout / USEC_PER_MSEC));
    if (body) {
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body);
    } else {
        curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, method);
    /* On a connection kept from the call before, libcurl sends again by itself what was not answered: what writes goes
     * over a new one, and is sent once. */
    curl_easy_setopt(h->curl, CURLOPT_FRESH_CONNECT, strcmp(method, "GET") == 0 ? 0L : 1L);
    return curl_easy_perform(h->curl);
}

int https_call(struct https *h, const char *method, const char *url, const char *body, const char *if_match,
               struct https_answer *ret, struct error *e)
{
    uint64_t now = clock_boottime(), left = h->deadline > now ? h->deadline - now : 0;
    struct curl_slist *list;
    struct body answer = {0};
    CURLcode k;

    if (left < USEC_PER_SEC)
        return error_set(e, -ENOTCONN, "there is no time left for %s %s", method, url);
    list = headers(h, body, if_match);
    if (!list)
        return error_set(e, -ENOTCONN, "no memory for %s %s", method, url);
    k = perform(h, method, url, body, list, MIN_OF(left, REGISTRAR_CALL_TIMEOUT), &answer);
    if (h->authorization)
        explicit_bzero(list->data, strlen(list->data));
    curl_slist_free_all(list);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    if (k != CURLE_OK) {
        free(answer.data);
        return error_set(e, unsent(h) ? -ENOTCONN : -ECONNRESET, "%s %.200s: %.200s", method, url,
                         h->error[0] ? h->error : curl_easy_strerror(k));
    }
    *ret = (struct https_answer){.body = answer.data, .n = answer.n};
    read_head(h, ret);
    return 0;
}

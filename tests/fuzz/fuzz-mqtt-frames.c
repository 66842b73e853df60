/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a broker sends, cut anywhere: it is taken or refused alike however it is cut, and nothing is taken of a packet
 * that is too large. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "uplink/mqtt-frames.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mqtt_frames whole = {0}, cut = {0};
    size_t step = n > 0 ? data[0] + 1U : 1;
    struct error e = {""};
    int r, k = 0;

    if (n == 0)
        return 0;
    whole.five = cut.five = data[0] & 1;
    data++;
    n--;
    r = mqtt_frames_feed(&whole, data, n, &e);
    for (size_t at = 0; at < n && k == 0; at += step)
        k = mqtt_frames_feed(&cut, data + at, MIN_OF(step, n - at), NULL);
    if (r != k || (r == 0 && memcmp(&whole, &cut, sizeof(whole)) != 0))
        abort();
    if (r == 0 && whole.left > MQTT_PACKET_MAX)
        abort();
    if ((r < 0) != (e.text[0] != '\0'))
        abort();
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kinds of points, as a cloud is told of them. */

enum point_kind {
    POINT_UNKNOWN, /* nothing has shown it yet */
    POINT_BOOLEAN,
    POINT_NUMBER,
    POINT_TEXT,
};
#define POINT_KINDS (POINT_TEXT + 1)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The order in which people count: meter-2 before meter-10. Pure, any thread. */

/* As strcmp(), except that rows of digits are compared as numbers of any length. Zero only for equal texts: numbers
 * that differ in leading zeros alone come in the order of their lengths. */
int natural_compare(const char *a, const char *b);

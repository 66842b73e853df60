/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits of decoder files and of what is decoded with them. */

#define DECODER_FILE_MAX (256 * 1024) /* bytes of one file */
#define DECODER_FILES_MAX 512         /* files in all directories */
#define DECODER_NAME_MAX 64           /* characters of a file's name without .json */
#define DECODER_VECTORS_MAX 512       /* in one file */
#define ADVERT_PAYLOAD_MAX 255        /* bytes of one element of an advertisement */
#define CHARACTERISTIC_BYTES_MAX 512  /* of a characteristic's value, as the Bluetooth specification has it */
#define FIELD_NAME_MAX 40             /* characters; room is left in a point's name for "_255" */
#define FIELD_UNIT_MAX 31             /* characters, as the plugin contract has it */
#define FIELD_INVALID_MAX 8           /* raw values that mean "no value" */
#define FIELD_CONDITIONS_MAX 8        /* in one "when" */
#define FIELD_EQUALS_MAX 16           /* raw values of one condition */
#define FIELD_CHOICES_MAX 256         /* names of raw values */
#define FIELD_TEXT_MAX 255            /* bytes of a text value, as the plugin contract has it */
#define FIELDS_MAX 64                 /* in one list */
#define OBJECTS_MAX 512               /* tagged objects, or characteristics, in one file */
#define MATCH_COMPANIES_MAX 16        /* company ids in one file */
#define MATCH_NAMES_MAX 32            /* name prefixes in one file */
#define MATCH_BYTES_MAX 8             /* byte strings to compare in one file */
#define DECODED_VALUES_MAX 128        /* out of one advertisement */
#define DECODED_TEXT_MAX 2048         /* bytes of its texts together */

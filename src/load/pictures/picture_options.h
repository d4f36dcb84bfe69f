/*
 * picture_options.h - room: the options that all who draw have in common.
 */
#ifndef LOAD_PICTURES_PICTURE_OPTIONS_H
#define LOAD_PICTURES_PICTURE_OPTIONS_H

#include "sshecho/options.h"

struct picture_options {
    char *output, *title;
    bool help;
};

#define PICTURE_SPECS 3
extern const struct option_spec picture_specs[PICTURE_SPECS];

#endif

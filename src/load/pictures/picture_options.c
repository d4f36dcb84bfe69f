#include "load/pictures/picture_options.h"

const struct option_spec picture_specs[PICTURE_SPECS] = {
    {"output", 0, OPTION_STRING, offsetof(struct picture_options, output), 0, 0, NULL, NULL, "FILE",
     "The file to write (short: -o).", "Options", OPTION_COMMAND_LINE},
    {"title", 0, OPTION_STRING, offsetof(struct picture_options, title), 0, 0, NULL, NULL, "TEXT", "A heading.",
     "Options", OPTION_COMMAND_LINE},
    {"help", 'h', OPTION_BOOL, offsetof(struct picture_options, help), 0, 0, "no", NULL, NULL, "Print this and exit.",
     "Options", OPTION_COMMAND_LINE},
};

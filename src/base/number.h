/* Numbers as text and back, the same in every locale: a host may have called setlocale, and then
 * the C library writes and expects its decimal comma. */
#ifndef PUMP_BASE_NUMBER_H
#define PUMP_BASE_NUMBER_H

#include <pump.h>

/* Room for every number that is written here (there is no NUL behind it). */
#define PUMP_NUMBER_TEXT 32

/* The double nearest to a decimal number of JSON's shape, which the caller has checked. Too large
 * is infinity, too small is zero. */
double pump_number_parse(const char *text, size_t size);
/* The shortest text that reads as the same double, always with a point or an exponent (1.0, -0.0,
 * 1e100), so that it is told from an integer. Finite numbers only. Returns how many characters. */
size_t pump_number_format(char text[PUMP_NUMBER_TEXT], double number);
size_t pump_number_format_integer(char text[PUMP_NUMBER_TEXT], int64_t number);

#endif

/* The C library's strtod and printf are exact, and all that a locale changes in them is the
 * decimal point. So strtod is given digits and an exponent but never a point, and from what
 * printf wrote the digits are taken and the point, whatever it looks like, is left. */
#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every power of ten that a double holds exactly. */
static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define EXACT_POWER   22
#define EXACT_INTEGER (INT64_C(1) << 53)

static int write_digits(char *to, uint64_t number) {
  char reversed[20];
  int count = 0;
  do
    reversed[count++] = (char)('0' + number % 10);
  while (number /= 10);
  for (int i = 0; i < count; i++)
    to[i] = reversed[count - 1 - i];
  return count;
}

/* ---- Reading ------------------------------------------------------------------------------ */

/* A double is told from its neighbours by 767 digits at most; of what follows only whether it is
 * all zero counts. */
#define MOST_DIGITS    768
#define EXPONENT_ROOM  16
#define ANY_EXPONENT   100000 /* beyond it a double is zero or infinite, whatever the digits */
#define EXPONENT_LIMIT (INT64_C(1) << 60)

/* digits * 10^exponent */
typedef struct decimal {
  char digits[MOST_DIGITS + 1 + EXPONENT_ROOM];
  size_t count;
  int64_t exponent;
} decimal;

static int64_t parse_exponent(const char *text, const char *end) {
  bool negative = *text == '-';
  int64_t exponent = 0;
  for (text += *text == '-' || *text == '+'; text < end; text++)
    if (exponent < EXPONENT_LIMIT / 10) exponent = exponent * 10 + (*text - '0');
  return negative ? -exponent : exponent;
}

static void parse_decimal(decimal *to, const char *text, const char *end) {
  bool behind_point = false, more = false;
  to->count = 0;
  to->exponent = 0;
  for (; text < end && *text != 'e' && *text != 'E'; text++) {
    if (*text == '.') {
      behind_point = true;
      continue;
    }
    bool leading = to->count == 0 && *text == '0';
    bool keep = !leading && to->count < MOST_DIGITS;
    if (keep)
      to->digits[to->count++] = *text;
    else if (!leading && *text != '0')
      more = true;
    if (behind_point && (keep || leading))
      to->exponent--;
    else if (!behind_point && !keep && !leading)
      to->exponent++;
  }
  if (more) {
    to->digits[to->count++] = '1';
    to->exponent--;
  }
  if (text < end) to->exponent += parse_exponent(text + 1, end);
}

/* Without a point, which strtod would look for in its locale. There must be room for the exponent
 * behind the digits. */
static double parse_digits(char *digits, size_t count, int64_t exponent) {
  char *to = digits + count;
  *to++ = 'e';
  if (exponent < 0) *to++ = '-';
  to += write_digits(to, (uint64_t)(exponent < 0 ? -exponent : exponent));
  *to = '\0';
  return strtod(digits, NULL);
}

static double parse_slowly(const char *text, const char *end) {
  decimal number;
  parse_decimal(&number, text, end);
  if (number.count == 0 || number.exponent < -ANY_EXPONENT) return 0;
  if (number.exponent > ANY_EXPONENT) return HUGE_VAL;
  return parse_digits(number.digits, number.count, number.exponent);
}

/* Most numbers have few digits: an integer and a power of ten that are both exact, and one
 * operation on them, which rounds once, as it should. */
static bool parse_quickly(double *number, const char *text, const char *end) {
  int64_t integer = 0, exponent = 0;
  bool behind_point = false;
  for (; text < end && *text != 'e' && *text != 'E'; text++) {
    if (*text == '.') {
      behind_point = true;
      continue;
    }
    integer = integer * 10 + (*text - '0');
    if (integer > EXACT_INTEGER) return false;
    exponent -= behind_point;
  }
  if (text < end) exponent += parse_exponent(text + 1, end);
  if (FLT_EVAL_METHOD != 0 || exponent < -EXACT_POWER || exponent > EXACT_POWER) return false;
  *number = exponent < 0 ? (double)integer / powers[-exponent] : (double)integer * powers[exponent];
  return true;
}

double pump_number_parse(const char *text, size_t size) {
  const char *end = text + size;
  bool negative = *text == '-';
  text += negative;
  double number;
  if (!parse_quickly(&number, text, end)) number = parse_slowly(text, end);
  return negative ? -number : number;
}

/* ---- Writing ------------------------------------------------------------------------------ */

/* 0.digits * 10^point */
typedef struct shortest {
  char digits[DBL_DECIMAL_DIG + EXPONENT_ROOM];
  int count;
  int point;
} shortest;

/* Whole numbers and those with few decimals, without the C library: the smallest number of
 * decimals with which an exact integer over an exact power of ten is the number again. */
#define FEW_DECIMALS 6

static bool shorten_quickly(shortest *to, double number) {
  if (FLT_EVAL_METHOD != 0 || number < 1e-5) return false;
  for (int decimals = 0; decimals <= FEW_DECIMALS; decimals++) {
    double scaled = number * powers[decimals] + 0.5;
    if (scaled >= (double)EXACT_INTEGER) return false;
    uint64_t integer = (uint64_t)scaled;
    if ((double)integer / powers[decimals] == number) {
      to->count = write_digits(to->digits, integer);
      to->point = to->count - decimals;
      return true;
    }
  }
  return false;
}

/* Whether the first count digits, after adding one to the last of them if up, are the number; if
 * so they are taken. */
static bool try_digits(shortest *to, const shortest *from, int count, bool up, double number) {
  shortest candidate = *from;
  candidate.count = count;
  for (int i = count - 1; up; i--) {
    if (i < 0) {
      memset(candidate.digits, '0', (size_t)count);
      candidate.digits[0] = '1';
      candidate.point++;
    } else if (candidate.digits[i] == '9') {
      candidate.digits[i] = '0';
      continue;
    } else {
      candidate.digits[i]++;
    }
    up = false;
  }
  if (parse_digits(candidate.digits, (size_t)count, candidate.point - count) != number)
    return false;
  *to = candidate;
  return true;
}

/* 17 digits tell any two doubles apart and 15 are kept by every normal one, so of those the
 * number needs 15, 16 or 17; subnormal ones may need as little as one. A shorter text is one of
 * the two that enclose all 17 digits. */
static void shorten(shortest *to, double number) {
  char text[PUMP_NUMBER_TEXT + 16];
  shortest all = {.count = 0};
  snprintf(text, sizeof text, "%.*e", DBL_DECIMAL_DIG - 1, number);
  const char *from = text;
  for (; *from != 'e'; from++)
    if (*from >= '0' && *from <= '9') all.digits[all.count++] = *from;
  all.point = (int)strtol(from + 1, NULL, 10) + 1;
  *to = all;
  int fewest = number < DBL_MIN ? 1 : DBL_DIG;
  for (int count = DBL_DECIMAL_DIG - 1; count >= fewest; count--) {
    bool up = all.digits[count] >= '5';
    if (!try_digits(to, &all, count, up, number) && !try_digits(to, &all, count, !up, number))
      return;
  }
}

static char *fill(char *to, char with, int count) {
  memset(to, with, (size_t)count);
  return to + count;
}

static char *copy(char *to, const char *from, int count) {
  memcpy(to, from, (size_t)count);
  return to + count;
}

static char *lay_out(char *to, const shortest *number) {
  const char *digits = number->digits;
  int count = number->count, point = number->point;
  if (point > 0 && point <= DBL_DECIMAL_DIG) {
    int whole = count < point ? count : point;
    to = fill(copy(to, digits, whole), '0', point - whole);
    *to++ = '.';
    return count > whole ? copy(to, digits + whole, count - whole) : fill(to, '0', 1);
  }
  if (point > -5 && point <= 0) return copy(fill(copy(to, "0.", 2), '0', -point), digits, count);
  *to++ = *digits;
  if (count > 1) *to++ = '.';
  to = copy(to, digits + 1, count - 1);
  *to++ = 'e';
  if (point < 1) *to++ = '-';
  return to + write_digits(to, (uint64_t)(point < 1 ? 1 - point : point - 1));
}

size_t pump_number_format(char text[PUMP_NUMBER_TEXT], double number) {
  char *to = text;
  if (signbit(number)) *to++ = '-';
  number = fabs(number);
  if (number == 0) return (size_t)(copy(to, "0.0", 3) - text);
  shortest digits;
  if (!shorten_quickly(&digits, number)) shorten(&digits, number);
  while (digits.count > 1 && digits.digits[digits.count - 1] == '0')
    digits.count--;
  return (size_t)(lay_out(to, &digits) - text);
}

size_t pump_number_format_integer(char text[PUMP_NUMBER_TEXT], int64_t number) {
  uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  char *to = text;
  if (number < 0) *to++ = '-';
  to += write_digits(to, magnitude);
  return (size_t)(to - text);
}

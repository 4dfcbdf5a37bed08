#include <pump.h>

const char *pump_error_name(int code) {
  switch (code) {
  case 0: return "ok";
#define XX(name, number, text, sentence)                                                           \
  case PUMP_##name: return text;
    PUMP_ERROR_MAP(XX)
#undef XX
  default: return "unknown";
  }
}

const char *pump_error_sentence(int code) {
  switch (code) {
  case 0: return "fine";
#define XX(name, number, text, sentence)                                                           \
  case PUMP_##name: return sentence;
    PUMP_ERROR_MAP(XX)
#undef XX
  default: return "unknown error";
  }
}

#define TEXT(x)             #x
#define VERSION_OF(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *pump_version(void) {
  return VERSION_OF(PUMP_VERSION_MAJOR, PUMP_VERSION_MINOR, PUMP_VERSION_PATCH);
}

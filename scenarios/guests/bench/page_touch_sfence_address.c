#define FENCE 2
#include "page_touch.h"

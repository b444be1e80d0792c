// What a panel says, as text and as CSV.
#include "ui/sheet.hpp"

#include <doctest/doctest.h>

using namespace trapeze::ui;

TEST_CASE("A sheet's text has its sentences, and tables with columns under each other") {
    Sheet sheet;
    sheet.say("Two of them:").add({{"name", "value"}, {{"satp", "1"}, {"s\u00fc\u00df", "22"}}});
    CHECK(sheet.text() == "Two of them:\nname  value\nsatp  1\ns\u00fc\u00df   22\n");
}

TEST_CASE("CSV quotes what RFC 4180 says must be quoted") {
    Sheet sheet;
    sheet.say("not in it").add({{"a", "b"}, {{"plain", "1,5"}, {"say \"no\"", "two\nlines"}}});
    sheet.add({{"c"}, {{"3"}}});
    CHECK(sheet.csv() == "a,b\r\nplain,\"1,5\"\r\n\"say \"\"no\"\"\",\"two\nlines\"\r\n\r\nc\r\n3\r\n");
    CHECK(Sheet().say("a, b").csv() == "\"a, b\"\r\n");
}

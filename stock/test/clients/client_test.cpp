// A client in C++17 on the library in C: MessagePack through a server, tested with googletest. The variable SOCKET of the
// environment names the server. In its stream "from-python" is a Reading that the client did not write.
#include "element.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <msgpack.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

struct Reading {
  std::string sensor;
  std::map<std::string, double> values;
  std::optional<int> number;
  MSGPACK_DEFINE_MAP(sensor, values, number)
};

static bool operator==(const Reading &a, const Reading &b) {
  return a.sensor == b.sensor && a.values == b.values && a.number == b.number;
}

static const Reading reading{"grüß", {{"x", 0.1}, {"y", -2}}, 7};

class Client : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(own); }

  template <typename Value>
  void write(const char *stream, const Value &value) {
    msgpack::sbuffer packed;
    msgpack::pack(packed, value);
    ASSERT_EQ(element_write(own.get(), stream, packed.data(), packed.size()), 0);
  }

  template <typename Value>
  Value newest(const char *stream) {
    std::vector<char> data(1 << 12);
    const long size = element_newest(own.get(), stream, data.data(), data.size());
    if (size < 0) throw std::runtime_error(std::string(stream) + " has no entry");
    return msgpack::unpack(data.data(), static_cast<std::size_t>(size)).get().as<Value>();
  }

 private:
  std::unique_ptr<element, decltype(&element_close)> own{element_open(std::getenv("SOCKET")), element_close};
};

TEST_F(Client, ReadsWhatItWrote) {
  write("from-cxx", reading);
  EXPECT_EQ(newest<Reading>("from-cxx"), reading);
}

TEST_F(Client, ReadsWhatPythonWrote) { EXPECT_EQ(newest<Reading>("from-python"), reading); }

TEST_F(Client, RefusesAnotherType) {
  write("words", std::vector<std::string>{"no", "reading"});
  EXPECT_THROW(newest<Reading>("words"), msgpack::type_error);
}

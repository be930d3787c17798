// Prints values as MessagePack. It needs no more than this one header.
#include <msgpack.hpp>

#include <iostream>
#include <map>
#include <string>
#include <vector>

int main() {
  const std::map<std::string, std::vector<long>> values{{"a", {1, -1, 300}}, {"b", {}}};
  msgpack::pack(std::cout, values);
}

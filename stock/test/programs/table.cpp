// table write FILE: an Arrow stream of a table. table sum FILE: reads one and prints the sum of "n" and the texts of "s".
// table parquet FILE: the same table as Parquet.
#include <arrow/api.h>
#include <arrow/io/api.h>
#include <arrow/ipc/api.h>
#include <parquet/arrow/writer.h>

#include <iostream>
#include <string>

static arrow::Result<std::shared_ptr<arrow::Table>> made() {
  arrow::Int64Builder numbers;
  arrow::StringBuilder texts;
  for (int i = 0; i < 1000; i++) {
    ARROW_RETURN_NOT_OK(i % 10 ? numbers.Append(i) : numbers.AppendNull());
    ARROW_RETURN_NOT_OK(texts.Append("t" + std::to_string(i % 3)));
  }
  ARROW_ASSIGN_OR_RAISE(auto n, numbers.Finish());
  ARROW_ASSIGN_OR_RAISE(auto s, texts.Finish());
  auto schema = arrow::schema({arrow::field("n", arrow::int64()), arrow::field("s", arrow::utf8())});
  return arrow::Table::Make(schema, {n, s});
}

static arrow::Status run(const std::string &verb, const std::string &path) {
  if (verb == "sum") {
    ARROW_ASSIGN_OR_RAISE(auto in, arrow::io::ReadableFile::Open(path));
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchStreamReader::Open(in));
    ARROW_ASSIGN_OR_RAISE(auto table, reader->ToTable());
    ARROW_ASSIGN_OR_RAISE(auto flat, table->CombineChunks());
    auto n = std::static_pointer_cast<arrow::Int64Array>(flat->GetColumnByName("n")->chunk(0));
    auto s = std::static_pointer_cast<arrow::StringArray>(flat->GetColumnByName("s")->chunk(0));
    int64_t sum = 0;
    for (int64_t i = 0; i < n->length(); i++) sum += n->IsNull(i) ? 0 : n->Value(i);
    std::cout << sum << " " << s->GetString(0) << "\n";
    return arrow::Status::OK();
  }
  ARROW_ASSIGN_OR_RAISE(auto out, arrow::io::FileOutputStream::Open(path));
  ARROW_ASSIGN_OR_RAISE(auto table, made());
  if (verb == "parquet") return parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, 256);
  ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeStreamWriter(out, table->schema()));
  ARROW_RETURN_NOT_OK(writer->WriteTable(*table));
  return writer->Close();
}

int main(int count, char **words) {
  if (count != 3) return 64;
  auto status = run(words[1], words[2]);
  if (!status.ok()) std::cerr << status.ToString() << "\n";
  return status.ok() ? 0 : 1;
}

"""Logs and firmware: uploads by charge points and operators, downloads by both.

Charge points do not log in: their URLs contain a random id, that of an upload for an hour.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded, public
from wattspan.api.access.rights import Right
from wattspan.api.files import DIAGNOSTICS, FIRMWARE
from wattspan.api.models import records as models
from wattspan.api.problems import not_found
from wattspan.api.services import Given, Services
from wattspan.store.queries import files as file_queries

router = APIRouter(prefix=PREFIX, tags=["files"])
outside = APIRouter(tags=["files"])
"""Routes for charge points, without the API's prefix."""

MAX_LISTED = 500
NO_LIMIT = 2**62
"""Turns off the framework's limit; `max_file_bytes` is the limit of a file."""

STREAMED = ("/files/uploads/", f"{PREFIX}/firmware")
"""Paths whose bodies are written to disk as they arrive."""

FileId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
OCTETS = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
CONTENT = {
    200: {
        "description": "The file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _upload(keywords: dict[str, object]) -> dict[str, object]:
    extra = keywords["openapi_extra"]
    return {**keywords, "openapi_extra": {**extra, **OCTETS}, "max_body_size": NO_LIMIT}  # type: ignore[dict-item]


def _download(keywords: dict[str, object]) -> dict[str, object]:
    responses = keywords["responses"]
    return {**keywords, "responses": {**responses, **CONTENT}, "response_class": FileResponse}  # type: ignore[dict-item]


@router.get("/diagnostics", **guarded(Right.COMMAND))
async def list_diagnostics(
    services: Given, cp_id: Annotated[str | None, Query(max_length=255)] = None
) -> list[models.File]:
    """List what charge points uploaded, the newest first."""
    return [
        models.file(each) for each in await services.store.read(file_queries.list_files, DIAGNOSTICS, cp_id, MAX_LISTED)
    ]


@router.get("/diagnostics/{file_id}", **_download(guarded(Right.COMMAND, 404)))  # type: ignore[arg-type]
async def download_diagnostics(services: Given, file_id: FileId) -> FileResponse:
    """Download an upload."""
    return await _content(services, DIAGNOSTICS, file_id)


@router.delete("/diagnostics/{file_id}", status_code=204, **guarded(Right.WRITE, 404))
async def delete_diagnostics(services: Given, file_id: FileId) -> None:
    """Delete an upload."""
    if not await services.files.remove(DIAGNOSTICS, file_id):
        raise not_found("upload")


@router.get("/firmware", **guarded(Right.COMMAND))
async def list_firmware(services: Given) -> list[models.File]:
    """List the firmware that charge points can be updated with, the newest first."""
    return [
        models.file(each) for each in await services.store.read(file_queries.list_files, FIRMWARE, None, MAX_LISTED)
    ]


@router.post("/firmware", status_code=201, **_upload(guarded(Right.WRITE, 413, 507)))  # type: ignore[arg-type]
async def upload_firmware(
    services: Given, request: Request, name: Annotated[str, Query(min_length=1, max_length=255)]
) -> models.File:
    """Upload firmware; the body is the file."""
    return models.file(await services.files.take(FIRMWARE, "", name, request.stream(), services.now_ts()))


@router.delete("/firmware/{file_id}", status_code=204, **guarded(Right.WRITE, 404))
async def delete_firmware(services: Given, file_id: FileId) -> None:
    """Delete firmware."""
    if not await services.files.remove(FIRMWARE, file_id):
        raise not_found("firmware")


@outside.get("/files/firmware/{file_id}/{name}", **_download(public(404)))  # type: ignore[arg-type]
async def fetch_firmware(services: Given, file_id: FileId, name: str) -> FileResponse:
    """For charge points: download firmware, or ranges of it (RFC 9110 §14)."""
    return await _content(services, FIRMWARE, file_id)


async def take_upload(services: Given, request: Request, ticket: FileId, name: str = "diagnostics") -> models.File:
    """For charge points: upload a log that was requested."""
    cp_id = services.files.holder(ticket, services.now_ts())
    if cp_id is None:
        raise not_found("upload")
    return models.file(await services.files.take(DIAGNOSTICS, cp_id, name, request.stream(), services.now_ts()))


for _path in ("/files/uploads/{ticket}", "/files/uploads/{ticket}/{name}"):
    for _method in ("PUT", "POST"):
        outside.add_api_route(
            _path,
            take_upload,
            methods=[_method],
            status_code=201,
            name=f"take_upload_{_method.lower()}{'_named' if _path.endswith('{name}') else ''}",
            **_upload(public(404, 413, 507)),  # type: ignore[arg-type]
        )


async def _content(services: Services, kind: str, file_id: str) -> FileResponse:
    found = await services.files.find(kind, file_id)
    if found is None:
        raise not_found("file")
    file, path = found
    # Always a download in browsers: a charge point sent it, and it might be an HTML page.
    return FileResponse(path, media_type="application/octet-stream", filename=file.name)

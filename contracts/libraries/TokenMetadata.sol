// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IERC20Metadata } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import { IMultiverse } from "../interfaces/IMultiverse.sol";

/// @notice Reads the optional half of ERC-20 from tokens that may not have it.
library TokenMetadata {
    function name(address token) internal view returns (string memory) {
        return _text(token, IERC20Metadata.name.selector);
    }

    function symbol(address token) internal view returns (string memory) {
        return _text(token, IERC20Metadata.symbol.selector);
    }

    function decimals(address token) internal view returns (uint8) {
        bytes4 selector = IERC20Metadata.decimals.selector;
        bytes memory data = _read(token, selector);
        if (data.length != 32 || uint256(bytes32(data)) > type(uint8).max)
            revert IMultiverse.NoTokenMetadata(token, selector);
        return uint8(uint256(bytes32(data)));
    }

    /// @dev Checks by hand what `abi.decode` would reject without a reason.
    function _text(address token, bytes4 selector) private view returns (string memory) {
        bytes memory data = _read(token, selector);
        if (data.length < 64) revert IMultiverse.NoTokenMetadata(token, selector);
        (uint256 offset, uint256 length) = abi.decode(data, (uint256, uint256));
        if (offset != 32 || length > data.length - 64) revert IMultiverse.NoTokenMetadata(token, selector);
        return abi.decode(data, (string));
    }

    function _read(address token, bytes4 selector) private view returns (bytes memory data) {
        bool ok;
        (ok, data) = token.staticcall(abi.encodeWithSelector(selector));
        if (!ok) revert IMultiverse.NoTokenMetadata(token, selector);
    }
}

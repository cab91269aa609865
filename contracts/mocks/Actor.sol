// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ERC1155Holder } from "@openzeppelin/contracts/token/ERC1155/utils/ERC1155Holder.sol";

/// @notice An account that does what its stage tells it.
contract Actor is ERC1155Holder {
    address private immutable _stage = msg.sender;

    function act(address target, bytes calldata data) external returns (bool ok, bytes memory result) {
        assert(msg.sender == _stage);
        // solhint-disable-next-line avoid-low-level-calls
        return target.call(data);
    }
}
